import { Tensor } from '../tensor.ts';

/** Makes functions whose first argument is a tensor into methods of `Tensor`. */
export function defineMethods(functions: {
  readonly [name: string]: (x: Tensor, ...rest: never[]) => unknown;
}): void {
  for (const [name, fn] of Object.entries(functions)) {
    Object.defineProperty(Tensor.prototype, name, {
      value(this: Tensor, ...rest: never[]) {
        return fn(this, ...rest);
      },
    });
  }
}
