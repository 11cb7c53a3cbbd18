import type { PaperFacts, Report } from '@working-papers/edition';

/** What the page of a paper of our editions shows. */
export interface OwnPaper {
  readonly paper: PaperFacts;
  /** In its edition, from 0. */
  readonly position: number;
  readonly previous: { readonly id: string; readonly name: string } | undefined;
  readonly next: { readonly id: string; readonly name: string } | undefined;
  readonly report: Report | undefined;
  /** Source of the paper's `example.ts`. */
  readonly example: string | undefined;
}
