/** Every check on the wasm provider: ONNX Runtime in a Web Worker of headless chromium. */

import { compareInBrowser } from '../page/browser.ts';

compareInBrowser('wasm');
