/** One measurement in a process of its own: node measure.ts WORKLOAD SECONDS THREADS → one JSON line. */

import { openDevice } from '@working-papers/tensor';
import { prepare, times, type Workload } from './workloads.ts';

const [workload = 'sampling', seconds = '3', threads = '2'] = process.argv.slice(2);
const device = await openDevice({ threads: Number(threads) });
const call = await prepare(workload as Workload, device);
console.log(JSON.stringify({ times: await times(call, Number(seconds)), operations: call.operations }));
await call.dispose();
await device.close();
