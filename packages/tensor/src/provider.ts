/** ONNX Runtime's execution providers that graphs are made for. */
export type Provider = 'cpu' | 'wasm' | 'webgpu' | 'cuda';

/** Whether it has ONNX Runtime's kernels for processors: those of `com.microsoft`, and no shaders. */
export function isOnProcessor(provider: Provider | undefined): boolean {
  return provider === 'cpu' || provider === 'wasm';
}
