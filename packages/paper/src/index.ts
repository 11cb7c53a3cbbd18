// What runs in a browser as well as in Node. `./files` and `./manifest` are for Node and are imported by name.
export * from './command.ts';
export * from './user-error.ts';
