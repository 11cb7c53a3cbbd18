/** Where the weights lie that ship with this package: addresses that bundlers know as files, and Node as paths. */

export const teacherUrl = new URL('../weights/cifar10-teacher.safetensors', import.meta.url);
export const featuresUrl = new URL('../weights/cifar10-features.safetensors', import.meta.url);
