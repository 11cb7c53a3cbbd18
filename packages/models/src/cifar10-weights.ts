/** Where the weights lie that ship with this package: addresses that bundlers know as files, and Node as paths. */

/** The diffusion model. */
export const teacherUrl = new URL('../weights/cifar10-teacher.safetensors', import.meta.url);
/** The network whose features judge pictures. */
export const featuresUrl = new URL('../weights/cifar10-features.safetensors', import.meta.url);
