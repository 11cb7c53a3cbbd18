/**
 * Where the page serves ONNX Runtime's WebAssembly: what a live run sets as `env.wasm.wasmPaths`. Bundlers would
 * otherwise copy it into every worker that imports the runtime.
 */
export const ortPath = '/ort/';
