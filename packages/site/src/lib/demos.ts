import { offered } from 'virtual:paper-demos';
import type { Component } from 'svelte';

/**
 * A paper's live run: the default export of `Demo.svelte` in its folder.
 *
 * `wasmPaths` is where this page serves ONNX Runtime's WebAssembly (`env.wasm.wasmPaths`), so that a paper need not
 * know whose page it stands on.
 */
export type Demo = Component<{ wasmPaths: string }>;

/** Loads a paper's live run; undefined where the paper has none. */
export function demoOf(id: string): (() => Promise<{ default: Demo }>) | undefined {
  return Object.hasOwn(offered, id) ? offered[id] : undefined;
}
