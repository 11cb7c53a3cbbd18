declare namespace App {
  interface Locals {
    /** Who is signed in. */
    reader: import('@working-papers/daily/accounts/sessions').Reader | undefined;
  }
}

declare module 'virtual:paper-demos' {
  import type { Demo } from '#lib/demos.ts';
  export const offered: Record<string, () => Promise<{ default: Demo }>>;
}

declare module 'virtual:paper-results' {
  export const offered: Record<string, unknown>;
}

declare module 'virtual:paper-examples' {
  export const offered: Record<string, string>;
}

declare module 'virtual:paper-samples' {
  import type { Samples } from '#lib/samples.ts';
  export const offered: Record<string, Samples>;
}

declare module 'virtual:paper-pictures' {
  export const offered: Record<string, string>;
}
