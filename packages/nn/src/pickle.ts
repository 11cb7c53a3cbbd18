/**
 * Python's pickle format, protocols 2 to 5, as far as PyTorch's files need it. Nothing that a file names is executed:
 * classes and functions are answered by a table, and what is not in the table is refused.
 * Format: the opcodes of Python's `pickletools`.
 */

/** A file is not a pickle, or holds what plain data does not need. */
export class PickleError extends Error {
  override readonly name = 'PickleError';
}

/** A class or function by its module and name: `collections.OrderedDict`. */
export class Global {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** What a pickle can hold besides what the tables make: plain data. */
export type Pickled = unknown;

/** What a pickle may do: nothing but call these. */
export interface UnpickleOptions {
  /** `torch._utils._rebuild_tensor_v2` and its like: called with the arguments from the file. */
  readonly calls: Readonly<Record<string, (args: readonly Pickled[]) => Pickled>>;
  /** Persistent identifiers, which PyTorch uses for the data of tensors. */
  readonly persistent?: (id: Pickled) => Pickled;
}

const mark = Symbol('mark');

/** The value of a pickle: None is null, tuples and lists are arrays, dicts are Maps, long integers bigints. */
export function unpickle(bytes: Uint8Array, { calls, persistent }: UnpickleOptions): Pickled {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const stack: Pickled[] = [];
  const memo = new Map<number, Pickled>();
  let at = 0;

  const take = (count: number): number => {
    if (count < 0 || at + count > bytes.length) throw new PickleError('the pickle ends in the middle');
    at += count;
    return at - count;
  };
  const u8 = () => view.getUint8(take(1));
  const u16 = () => view.getUint16(take(2), true);
  const u32 = () => view.getUint32(take(4), true);
  const length64 = () => Number(view.getBigUint64(take(8), true));
  const text = (count: number) => {
    const from = take(count);
    return decoder.decode(bytes.subarray(from, from + count));
  };
  const line = () => {
    const end = bytes.indexOf(10, at);
    if (end < 0) throw new PickleError('the pickle ends in the middle');
    const from = at;
    at = end + 1;
    return decoder.decode(bytes.subarray(from, end));
  };
  const integer = (count: number): number | bigint => {
    const from = take(count);
    let value = 0n;
    for (let i = 0; i < count; i++) value |= BigInt(bytes[from + i]!) << BigInt(8 * i);
    value = BigInt.asIntN(8 * count, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  };
  const pop = (): Pickled => {
    if (stack.length === 0 || stack.at(-1) === mark)
      throw new PickleError('the pickle takes from an empty stack');
    return stack.pop();
  };
  const popToMark = (): Pickled[] => {
    const from = stack.lastIndexOf(mark);
    if (from < 0) throw new PickleError('the pickle has no mark where it needs one');
    const items = stack.splice(from);
    return items.slice(1);
  };
  const top = <T>(kind: new () => T): T => {
    const value = stack.at(-1);
    if (!(value instanceof kind)) throw new PickleError(`the pickle puts items into ${describe(value)}`);
    return value;
  };
  const setItems = (items: readonly Pickled[]) => {
    const target = top<Map<Pickled, Pickled>>(Map);
    for (let i = 0; i + 1 < items.length; i += 2) target.set(items[i], items[i + 1]);
  };
  const call = (target: Pickled, args: Pickled): Pickled => {
    if (!(target instanceof Global) || !Array.isArray(args))
      throw new PickleError(`the pickle calls ${describe(target)}`);
    if (!Object.hasOwn(calls, target.name))
      throw new PickleError(`the pickle calls ${target.name}, which plain data does not need`);
    return calls[target.name]!(args);
  };
  const recall = (index: number): Pickled => {
    if (!memo.has(index)) throw new PickleError(`the pickle recalls ${index}, which it has not kept`);
    return memo.get(index);
  };

  for (;;) {
    const opcode = u8();
    switch (opcode) {
      case 0x80: // PROTO
        if (u8() > 5) throw new PickleError('a pickle of a protocol above 5');
        break;
      case 0x95: // FRAME
        take(8);
        break;
      case 0x28: // MARK
        stack.push(mark);
        break;
      case 0x2e: // STOP
        return pop();
      case 0x30: // POP
        pop();
        break;
      case 0x31: // POP_MARK
        popToMark();
        break;
      case 0x32: // DUP
        stack.push(stack.at(-1));
        break;
      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
        stack.push(true);
        break;
      case 0x89: // NEWFALSE
        stack.push(false);
        break;
      case 0x4a: // BININT
        stack.push(view.getInt32(take(4), true));
        break;
      case 0x4b: // BININT1
        stack.push(u8());
        break;
      case 0x4d: // BININT2
        stack.push(u16());
        break;
      case 0x8a: // LONG1
        stack.push(integer(u8()));
        break;
      case 0x47: // BINFLOAT
        stack.push(view.getFloat64(take(8), false));
        break;
      case 0x58: // BINUNICODE
        stack.push(text(u32()));
        break;
      case 0x8c: // SHORT_BINUNICODE
        stack.push(text(u8()));
        break;
      case 0x8d: // BINUNICODE8
        stack.push(text(length64()));
        break;
      case 0x5d: // EMPTY_LIST
        stack.push([]);
        break;
      case 0x61: {
        // APPEND
        const item = pop();
        top(Array).push(item);
        break;
      }
      case 0x65: {
        // APPENDS
        const items = popToMark();
        top(Array).push(...items);
        break;
      }
      case 0x29: // EMPTY_TUPLE
        stack.push([]);
        break;
      case 0x74: // TUPLE
        stack.push(popToMark());
        break;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: {
        // TUPLE3
        const items = Array.from({ length: opcode - 0x84 }, pop).reverse();
        stack.push(items);
        break;
      }
      case 0x7d: // EMPTY_DICT
        stack.push(new Map());
        break;
      case 0x73: {
        // SETITEM
        const value = pop();
        const key = pop();
        setItems([key, value]);
        break;
      }
      case 0x75: // SETITEMS
        setItems(popToMark());
        break;
      case 0x63: {
        // GLOBAL
        const module = line();
        stack.push(new Global(`${module}.${line()}`));
        break;
      }
      case 0x93: {
        // STACK_GLOBAL
        const name = pop();
        stack.push(new Global(`${pop()}.${name}`));
        break;
      }
      case 0x51: {
        // BINPERSID
        if (!persistent) throw new PickleError('the pickle refers to data outside it');
        stack.push(persistent(pop()));
        break;
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const args = pop();
        stack.push(call(pop(), args));
        break;
      }
      case 0x62: // BUILD: attributes of an object, of which plain data has none that matter
        pop();
        break;
      case 0x71: // BINPUT
        memo.set(u8(), stack.at(-1));
        break;
      case 0x72: // LONG_BINPUT
        memo.set(u32(), stack.at(-1));
        break;
      case 0x94: // MEMOIZE
        memo.set(memo.size, stack.at(-1));
        break;
      case 0x68: // BINGET
        stack.push(recall(u8()));
        break;
      case 0x6a: // LONG_BINGET
        stack.push(recall(u32()));
        break;
      default:
        throw new PickleError(`the pickle has the unknown opcode 0x${opcode.toString(16)} at byte ${at - 1}`);
    }
  }
}

function describe(value: Pickled): string {
  if (value instanceof Global) return value.name;
  if (value === null) return 'None';
  return Array.isArray(value) ? 'a list' : value instanceof Map ? 'a dict' : `a ${typeof value}`;
}
