import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findArxivId, monthOfArxivId, parseArxivId } from '@working-papers/daily/papers/identifiers';
import fc from 'fast-check';

test('one paper in all the forms that readers paste', () => {
  const forms = [
    '2310.09163',
    ' arXiv:2310.09163 ',
    'ARXIV: 2310.09163',
    '10.48550/arXiv.2310.09163',
    'doi:10.48550/arXiv.2310.09163',
    'https://doi.org/10.48550/arXiv.2310.09163',
    'https://arxiv.org/abs/2310.09163',
    'http://www.arxiv.org/abs/2310.09163?context=cs.LG#comments',
    'arxiv.org/pdf/2310.09163',
    'https://arxiv.org/pdf/2310.09163.pdf',
    'https://export.arxiv.org/e-print/2310.09163',
    'https://ar5iv.labs.arxiv.org/html/2310.09163',
    'https://www.alphaxiv.org/overview/2310.09163',
    'https://huggingface.co/papers/2310.09163',
    'https://hf.co/papers/2310.09163/',
  ];
  for (const form of forms) assert.deepEqual(findArxivId(form), { id: '2310.09163' }, form);
  const versioned = [
    '2310.09163v2',
    'https://arxiv.org/pdf/2310.09163v2.pdf',
    'https://arxiv.org/html/2310.09163v2',
  ];
  for (const form of versioned) assert.deepEqual(findArxivId(form), { id: '2310.09163', version: 2 }, form);
});

test('identifiers before April 2007 are filed without their subject class', () => {
  assert.deepEqual(findArxivId('cs/0112017'), { id: 'cs/0112017' });
  assert.deepEqual(findArxivId('math.GT/0309136v1'), { id: 'math/0309136', version: 1 });
  assert.deepEqual(findArxivId('https://arxiv.org/abs/hep-th/9901001v3'), {
    id: 'hep-th/9901001',
    version: 3,
  });
  assert.deepEqual(findArxivId('https://arxiv.org/pdf/math.GT/0309136.pdf'), { id: 'math/0309136' });
  assert.deepEqual(findArxivId('0704.0001'), { id: '0704.0001' });
});

test('what is none', () => {
  const none = [
    '',
    '2310.9163',
    '2313.09163',
    '1412.00001',
    '0703.0001',
    '2310.091633',
    '2310.09163v0',
    'cs/0712001',
    'https://example.org/abs/2310.09163',
    'https://arxiv.org.evil.example/abs/2310.09163',
    'https://arxiv.org@evil.example/abs/2310.09163',
    'javascript://arxiv.org/abs/2310.09163',
    'https://arxiv.org/list/cs.LG/recent',
    "2310.09163' or 1=1",
    'https://arxiv.org/abs/',
    '__proto__',
    'https://constructor/abs/2310.09163',
    'https://huggingface.co/models',
  ];
  for (const text of none) assert.equal(findArxivId(text), undefined, text);
});

test('any text is answered without an exception, and what is read is read the same again', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webUrl({ withQueryParameters: true })), (text) => {
      const found = findArxivId(text);
      assert.ok(found === undefined || parseArxivId(found.id)?.id === found.id);
    }),
  );
});

test('the month that an identifier names', () => {
  assert.equal(monthOfArxivId('2310.09163').toISOString(), '2023-10-01T00:00:00.000Z');
  assert.equal(monthOfArxivId('hep-th/9901001').toISOString(), '1999-01-01T00:00:00.000Z');
  assert.equal(monthOfArxivId('cs/0112017').toISOString(), '2001-12-01T00:00:00.000Z');
});
