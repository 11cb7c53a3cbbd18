import { existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { createLog, type Log } from '@working-papers/daily/log';
import { readSettings } from '@working-papers/daily/settings';
import { observe } from '@working-papers/daily/visits';
import { UserError } from '@working-papers/paper';
import sirv from 'sirv';
import { ortPath } from './src/lib/ort.ts';
import { contentSecurityHeader, isolationHeaders } from './src/lib/security.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;

const usage = `Serves the page that "npm run build" made.

  --port NUMBER   default 3000, 0 takes any free one (or PORT in the environment)
  --host ADDRESS  default 127.0.0.1, 0.0.0.0 lets other machines in (or HOST)
  --help`;

/** The one line for a fault that the person who started the server can put right. */
function refuse(line: string): never {
  console.error(line);
  process.exit(2);
}

function readArguments(): { port: number; host: string } {
  let values: { port?: string; host?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      options: { port: { type: 'string' }, host: { type: 'string' }, help: { type: 'boolean' } },
    }));
  } catch (error) {
    refuse(error instanceof Error ? error.message.split('\n')[0]! : String(error));
  }
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  const port = values.port ?? process.env.PORT ?? '3000';
  if (!/^\d+$/.test(port) || Number(port) > 65535) {
    refuse(`--port: expected a number from 0 to 65535, found "${port}".`);
  }
  return { port: Number(port), host: values.host ?? process.env.HOST ?? '127.0.0.1' };
}

const { port, host } = readArguments();

const out = process.env.WP_SITE_OUT ?? fileURLToPath(new URL('build', import.meta.url));
if (!existsSync(`${out}/handler.js`)) refuse('The page has not been built. Run "npm run build" first.');

// SvelteKit assumes https unless a header says otherwise; read by the handler when it is imported.
process.env.PROTOCOL_HEADER ??= 'x-forwarded-proto';

/** One line an answer, for a collector of logs. A person at the terminal is told of faults alone. */
let answers: Log | undefined;

/** Importing it opens the database and puts our editions into it. */
async function loadHandler(): Promise<Handler> {
  try {
    if (readSettings(process.env).logJson) answers = createLog({ json: true, write: console.log });
    const { handler } = (await import(pathToFileURL(`${out}/handler.js`).href)) as { handler: Handler };
    return handler;
  } catch (error) {
    if (error instanceof UserError) refuse(error.message);
    throw error;
  }
}

let isStopping = false;

/** Whoever asks before the database is open waits for it. */
const { promise: ready, resolve: isReady } = Promise.withResolvers<Handler>();

const serveOrt = sirv(`${out}/ort`, {
  gzip: true,
  etag: true,
  // The path is the same for every version, so a reader's copy is asked about each time and rarely sent again.
  setHeaders: (response) => response.setHeader('Cache-Control', 'no-cache'),
});

/** Lines on which nobody has asked anything yet. */
const silent = new Set<Socket>();

const server = createServer((request, response) => {
  silent.delete(request.socket);
  observe(request, response, () => answers);
  // A line that is kept open for later requests would keep us from ending.
  response.once('close', () => isStopping && setImmediate(() => server.closeIdleConnections()));
  for (const [name, value] of Object.entries(isolationHeaders)) response.setHeader(name, value);
  // SvelteKit replaces it on pages with one that holds the nonce.
  response.setHeader('Content-Security-Policy', contentSecurityHeader);

  // Anything but https from a proxy is http: the header also decides the scheme of the addresses we print.
  request.headers['x-forwarded-proto'] = request.headers['x-forwarded-proto'] === 'https' ? 'https' : 'http';

  // A mail program's one-click POST (RFC 8058) comes from no page. Its address proves what it may end, and it acts for
  // nobody who is signed in: SvelteKit's check of the origin would protect nothing here.
  if (request.method === 'POST' && request.url?.startsWith('/unsubscribe?') && !request.headers.origin) {
    request.headers.origin = `${request.headers['x-forwarded-proto']}://${request.headers.host}`;
    delete request.headers.cookie;
  }

  const notFound = () => {
    response.statusCode = 404;
    response.end();
  };
  if (request.url?.startsWith(ortPath)) {
    request.url = request.url.slice(ortPath.length - 1);
    serveOrt(request, response, notFound);
  } else {
    void ready.then((handler) => handler(request, response, notFound));
  }
});

// Node's 5 s end lines under questions that are on their way: longer than proxies (nginx: 60 s) and readers keep theirs.
server.keepAliveTimeout = 75_000;

server.on('connection', (socket) => {
  silent.add(socket);
  socket.once('close', () => silent.delete(socket));
});

server.on('error', (error: NodeJS.ErrnoException) => {
  const where = `port ${port} on ${host}`;
  if (error.code === 'EADDRINUSE')
    refuse(`${where} is taken. Choose another one with --port.`.replace(/^p/, 'P'));
  if (error.code === 'EACCES')
    refuse(`No permission to listen on ${where}. Choose one above 1023 with --port.`);
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') {
    refuse(`--host: this machine has no address "${host}".`);
  }
  throw error;
});

// Before the database is opened: a port that is taken is refused at once.
server.listen(port, host, async () => {
  const address = server.address();
  const actualPort = typeof address === 'object' && address ? address.port : port;
  const name = host.includes(':') ? `[${host}]` : host;
  const origin = `http://${name}:${actualPort}`;
  // Where readers find the page, unless the operator knows better: for links in feeds and mails.
  process.env.WP_BASE_URL ||= origin;
  isReady(await loadHandler());
  if (answers) answers.info('the page is served', { at: origin });
  else console.log(`Working Papers is at ${origin}`);
});

/** How long answers that are under way may take when the server is told to stop. */
const patience = 30_000; // ms

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    isStopping = true;
    server.close(async () => {
      clearTimeout(impatience);
      await ready;
      // adapter-node's own event: hooks.server.ts closes the database.
      Reflect.apply(process.emit, process, ['sveltekit:shutdown', signal]);
    });
    server.closeIdleConnections();
    for (const socket of silent) socket.destroy();
    const impatience = setTimeout(() => server.closeAllConnections(), patience);
  });
}
