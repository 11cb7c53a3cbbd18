import { services } from '#lib/server/services.ts';

const patience = 2_000; // ms

/** For a load balancer: whether the database answers, so that readers can be sent here. */
export async function GET(): Promise<Response> {
  const { database } = services();
  const headers = { 'cache-control': 'no-store' };
  const late = new Promise<never>((_, reject) => {
    setTimeout(reject, patience, new Error(`no answer within ${patience} ms`)).unref();
  });
  try {
    await Promise.race([database.db.selectNoFrom((eb) => eb.lit(1).as('one')).execute(), late]);
    return Response.json({ status: 'ok', database: database.kind }, { headers });
  } catch (error) {
    services().log.error('the database does not answer', {
      reason: error instanceof Error ? error.message : String(error),
    });
    return Response.json({ status: 'unavailable', database: database.kind }, { status: 503, headers });
  }
}
