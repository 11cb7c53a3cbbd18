/** A request that the device could not carry out. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
}
