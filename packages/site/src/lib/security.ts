/**
 * The headers every response of the page carries, whoever writes it: SvelteKit, the static files, the Vite dev
 * server. Live runs use WebAssembly threads, which need shared memory, which browsers grant to cross-origin
 * isolated pages only; and a worker's script must carry the same headers as the page that starts it.
 */
export const isolationHeaders = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'strict-origin-when-cross-origin',
} as const;

/**
 * Everything comes from the page's own origin. `blob:` is for the reader's own pictures and for workers made of
 * strings; `wasm-unsafe-eval` allows compiling WebAssembly and nothing else.
 */
export const contentSecurity = {
  'default-src': ['self'],
  'script-src': ['self', 'wasm-unsafe-eval'],
  'worker-src': ['self', 'blob:'],
  'style-src': ['self'],
  // Attributes only: components set widths and custom properties, never whole style sheets.
  'style-src-attr': ['unsafe-inline'],
  'img-src': ['self', 'blob:', 'data:'],
  'media-src': ['self', 'blob:'],
  'connect-src': ['self', 'blob:'],
  'object-src': ['none'],
  'base-uri': ['self'],
  'form-action': ['self'],
  'frame-ancestors': ['none'],
} as const;

const keywords = new Set(['self', 'none', 'unsafe-inline', 'wasm-unsafe-eval']);

/** The policy as a header, for what SvelteKit does not write: scripts, workers and other files. */
export const contentSecurityHeader = Object.entries(contentSecurity)
  .map(([directive, sources]) => {
    const quoted = sources.map((source) => (keywords.has(source) ? `'${source}'` : source));
    return `${directive} ${quoted.join(' ')}`;
  })
  .join('; ');
