/** Every check on WebGPU in headless chromium, which computes it in software (SwiftShader). */

import { compareInBrowser } from '../page/browser.ts';

compareInBrowser('webgpu', [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
]);
