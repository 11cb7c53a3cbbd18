/** What CIFAR-10 shows. Runs in Node and in browsers. */

/** The classes by label. */
export const cifar10Classes = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
] as const;

/** Width and height of every picture, in pixels. */
export const cifar10Size = 32;
