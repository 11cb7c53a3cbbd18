import { fileURLToPath } from 'node:url';
import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';
import { defaultClientConditions, defaultServerConditions, defineConfig } from 'vite';
import { contentSecurity, isolationHeaders } from './src/lib/security.ts';
import { ortInDevelopment, withOrt } from './vite/ort.ts';
import { outside } from './vite/outside.ts';
import { papers } from './vite/papers.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Both are for tests, which build the page a second time around papers of their own.
const out = process.env.WP_SITE_OUT ?? 'build';
const papersFolder = process.env.WP_SITE_PAPERS ?? here('../papers');

// Our packages export their sources under 'source'; ONNX Runtime leaves its WebAssembly to us under the other.
const conditions = ['source', 'onnxruntime-web-use-extern-wasm'];

export default defineConfig({
  plugins: [
    outside(['@working-papers/daily', '@working-papers/paper']),
    papers(papersFolder),
    ortInDevelopment(),
    sveltekit({
      adapter: withOrt(adapter({ out }), out),
      // Addresses that stand in feeds and in redirects mean the same wherever they are read.
      paths: { relative: false },
      csp: {
        mode: 'auto',
        directives: Object.fromEntries(
          Object.entries(contentSecurity).map(([directive, sources]) => [directive, [...sources]]),
        ),
      },
    }),
  ],
  resolve: { conditions: [...conditions, ...defaultClientConditions] },
  ssr: { resolve: { conditions: [...conditions, ...defaultServerConditions] } },
  // The policy allows neither fonts that are part of a style sheet nor fetching what is part of a script, as small
  // files would be.
  build: { assetsInlineLimit: (path) => (/\.(woff2?|ttf|json)$/.test(path) ? false : undefined) },
  worker: { format: 'es' },
  optimizeDeps: { exclude: ['onnxruntime-web'] },
  server: { headers: isolationHeaders, fs: { allow: [here('../..')] } },
});
