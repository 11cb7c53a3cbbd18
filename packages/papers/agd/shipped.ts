/** The adapters that ship with this package. */

/** By the names of their files, as readers of the page see them: the last are the mismatch, a warning. */
export const shipped = {
  gated: 'gated MLP',
  attention: 'cross-attention',
  offset: 'offset',
  'gated-forward': 'gated MLP, trained on noised data',
} as const;
export type ShippedName = keyof typeof shipped;
export const shippedNames = Object.keys(shipped) as ShippedName[];

/** What is taken when nothing is asked for. */
export const defaultName: ShippedName = 'gated';
