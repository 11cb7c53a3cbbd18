import type { Plugin } from 'vite';

/**
 * Leaves packages out of the server's build, so that Node runs them as they are. Vite itself does so with JavaScript
 * only, and ours are TypeScript: built in, PGlite would look for its files beside the build.
 *
 * @param packages by name; every module of theirs stays outside.
 */
export function outside(packages: readonly string[]): Plugin {
  return {
    name: 'working-papers:outside',
    apply: 'build',
    enforce: 'pre',
    resolveId(id) {
      const isOurs = packages.some((name) => id === name || id.startsWith(`${name}/`));
      return isOurs && this.environment.name === 'ssr' ? { id, external: true } : undefined;
    },
  };
}
