/** What another runtime cannot do, or lacks: in words for whoever asked for the comparison. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
}
