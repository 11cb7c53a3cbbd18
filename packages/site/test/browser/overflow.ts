import type { Page } from 'playwright-core';

/** How far the page scrolls sideways, and the elements that reach beyond it. */
export function overflowOf(page: Page): Promise<{ scroll: number; wide: string[] }> {
  return page.evaluate(() => {
    const root = document.documentElement;
    const scrolls = (element: Element): boolean => {
      const parent = element.parentElement;
      return parent !== null && (getComputedStyle(parent).overflowX !== 'visible' || scrolls(parent));
    };
    const wide = [...document.querySelectorAll('main *, header *, footer *')]
      .filter((element) => element.getBoundingClientRect().right > root.clientWidth + 0.5)
      // Parts of an SVG may reach beyond it, and a region of its own may scroll.
      .filter((element) => !(element instanceof SVGElement) && !scrolls(element))
      .map((element) => element.outerHTML.slice(0, 80));
    return { scroll: root.scrollWidth - root.clientWidth, wide };
  });
}
