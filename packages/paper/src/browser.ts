/** What live runs share. For browsers. */

/** Is there a GPU that the page may use? */
export async function hasWebGpu(): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<object | null> } };
  return (await gpu?.requestAdapter().catch(() => null)) != null;
}

/** The bytes of a weights file of the page. Throws with a sentence for the reader where it is not there. */
export async function fetchWeights(url: URL): Promise<Uint8Array> {
  const response = await fetch(url);
  const isFile = response.ok && !response.headers.get('content-type')?.startsWith('text/html');
  if (!isFile) throw new Error('the trained weights are not part of this page yet');
  return new Uint8Array(await response.arrayBuffer());
}

/** What a reader is told of an error. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
