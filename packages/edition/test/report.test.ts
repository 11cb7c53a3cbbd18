import assert from 'node:assert/strict';
import test from 'node:test';
import { medianOf, readmeMarkers, readReport, spread, withResults } from '@working-papers/edition';

function sample() {
  return {
    report: {
      measured: { date: '2026-09-10', machine: 'two cores', seeds: 3 },
      claims: [
        { claim: 'better at equal cost', published: '+3.0', measured: '+1.4', verdict: 'partly' as string },
      ],
      figures: [
        {
          id: 'cost',
          title: 'Accuracy against cost',
          description: 'rises',
          x: { label: 'cost' },
          y: { label: 'accuracy', unit: '%' },
          series: [{ name: 'JEI-DNN', role: 'method', points: [{ x: 0.5, y: 88 as number | null }] }],
        },
      ],
      tables: [{ title: 'Exits', columns: ['exit', 'share'], rows: [[1, '12 %']] }],
    },
  };
}

test('a report survives reading, whatever else the bench wrote beside it', () => {
  const { report } = sample();
  assert.deepEqual(readReport({ raw: [1, 2], ...sample() }), report);
});

test('no report is no error', () => {
  assert.equal(readReport({ machine: 'x' }), undefined);
  assert.equal(readReport(null), undefined);
});

test('a fault names the field, what was found and what was expected', () => {
  const badVerdict = sample();
  badVerdict.report.claims[0]!.verdict = 'maybe';
  assert.throws(() => readReport(badVerdict), {
    message: 'report.claims[0].verdict: expected one of reproduced, partly, not reproduced, found "maybe"',
  });

  const badPoint = sample();
  badPoint.report.figures[0]!.series[0]!.points[0]!.y = null;
  assert.throws(() => readReport(badPoint), {
    message: 'report.figures[0].series[0].points[0].y: expected a finite number, found null',
  });

  const shortRow = sample();
  shortRow.report.tables[0]!.rows[0]!.pop();
  assert.throws(() => readReport(shortRow), {
    message: 'report.tables[0].rows[0]: expected 2 cells, found 1',
  });

  const noSeries = sample();
  noSeries.report.figures[0]!.series = [];
  assert.throws(() => readReport(noSeries), /report\.figures\[0\]\.series: expected at least one series/);
});

test('a README takes the report between its markers and nothing else', () => {
  const report = readReport(sample())!;
  const old = `before\n${readmeMarkers('dmd2').join('\nold\n')}\nafter`;
  const readme = withResults(old, 'dmd2', report);
  assert.match(readme, /^before\n/);
  assert.match(readme, /after$/);
  assert.doesNotMatch(readme, /\nold\n/);
  assert.match(readme, /\| better at equal cost \| \+3\.0 \| \+1\.4 \| \*\*partly\*\* \|/);
  assert.equal(withResults(readme, 'dmd2', report), readme);
  assert.throws(() => withResults('no markers', 'dmd2', report), /has no '<!-- results: .*bench dmd2/);
});

test('figures in words: a mean with the range of several, a median', () => {
  const two = (value: number) => value.toFixed(2);
  assert.equal(spread([1, 2, 6], two), '3.00 (1.00 to 6.00)');
  assert.equal(spread([1.5], two), '1.50');
  assert.equal(spread([], two), 'none');
  assert.equal(medianOf([5, 1, 2, 4]), 3);
});
