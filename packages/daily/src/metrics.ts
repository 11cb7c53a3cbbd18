/**
 * What this process counts, for Prometheus. It is served on an address of its own (`WP_METRICS_PORT`, `WP_METRICS_HOST`),
 * so that nobody who can read the page can read it.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UserError } from '@working-papers/paper';
import type { Pool } from 'pg';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Settings } from './settings.ts';

/** One of the process, as the numbers are. */
const registry = new Registry();
const registers = [registry];

/** `route` is the pattern and never the address that was asked for, `status` the answer's. */
export const requests = new Histogram({
  name: 'wp_http_request_seconds',
  help: 'Answers of the page, from the first byte that came to the last that went.',
  labelNames: ['method', 'route', 'status'] as const,
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 2.5, 5, 10],
  registers,
});

export const jobRuns = new Histogram({
  name: 'wp_job_seconds',
  help: 'Runs of jobs by their outcome: done, failed, stopped.',
  labelNames: ['job', 'outcome'] as const,
  buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 1_800],
  registers,
});

export const mails = new Counter({
  name: 'wp_mails_total',
  help: 'Letters by what became of a try: sent; refused for good (recipient), for now (letter); no mail server (server).',
  labelNames: ['outcome'] as const,
  registers,
});

export const ingestedDays = new Counter({
  name: 'wp_ingest_days_total',
  help: 'Days that a source was asked for: done, unchanged, partial, failed.',
  labelNames: ['source', 'outcome'] as const,
  registers,
});

export const ingestedRecords = new Counter({
  name: 'wp_ingest_records_total',
  help: 'Records of a source: stored (new), changed, rejected.',
  labelNames: ['source', 'outcome'] as const,
  registers,
});

const pools = new Set<Pool>();

new Gauge({
  name: 'wp_database_connections',
  help: 'Connections to PostgreSQL, busy and idle, and queries that wait for one.',
  labelNames: ['state'] as const,
  registers,
  collect() {
    const sum = (count: (pool: Pool) => number) => [...pools].reduce((total, pool) => total + count(pool), 0);
    this.set(
      { state: 'busy' },
      sum((pool) => pool.totalCount - pool.idleCount),
    );
    this.set(
      { state: 'idle' },
      sum((pool) => pool.idleCount),
    );
    this.set(
      { state: 'waiting' },
      sum((pool) => pool.waitingCount),
    );
  },
});

/** Counts a pool's connections until it is told to forget it. */
export function watchPool(pool: Pool): () => void {
  pools.add(pool);
  return () => pools.delete(pool);
}

export interface MetricsServer {
  /** `http://127.0.0.1:9464/metrics` */
  readonly address: string;
  close(): Promise<void>;
}

/** Serves what is counted where the settings say so. Throws a `UserError` where the address is taken or is none. */
export async function serveMetrics(
  settings: Pick<Settings, 'metricsPort' | 'metricsHost'>,
): Promise<MetricsServer | undefined> {
  const { metricsPort: port, metricsHost: host } = settings;
  if (port === undefined) return undefined;
  // Memory, processor, event-loop lag, garbage collection: of no use where nobody asks.
  if (!registry.getSingleMetric('nodejs_eventloop_lag_seconds'))
    collectDefaultMetrics({ register: registry });
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') return void response.writeHead(404).end();
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is taken' : `cannot be listened on: ${message}`;
    throw new UserError(`WP_METRICS_PORT: port ${port} on ${host} ${why}`, { cause: error });
  }
  const { port: actual } = server.address() as AddressInfo;
  return {
    address: `http://${host.includes(':') ? `[${host}]` : host}:${actual}/metrics`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
