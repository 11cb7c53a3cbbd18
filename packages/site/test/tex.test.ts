import assert from 'node:assert/strict';
import test from 'node:test';
import { hasFormula, type Piece, plainText } from '#lib/papers.ts';
import { firstSentences, passage, plain, toPieces } from '#lib/server/tex.ts';

const formulasOf = (pieces: readonly Piece[]) =>
  pieces.flatMap((piece) => ('formula' in piece ? [piece.formula] : []));

test('formulas are drawn by KaTeX, the rest stays text', () => {
  const pieces = toPieces('An $\\mathcal{O}(n \\log n)$ bound on \\(x^2\\) and $$y$$.');
  assert.equal(formulasOf(pieces).length, 3);
  assert.match(formulasOf(pieces)[0]!, /^<span class="katex">.*<math/s);
  assert.equal(plainText(pieces), 'An \\mathcal{O}(n \\log n) bound on x^2 and y.');
  assert.equal(plainText(toPieces('$a < b \\& c$')), 'a < b \\& c');
});

test('money is no formula, nor is what KaTeX cannot read, nor half of one', () => {
  for (const words of [
    'between $5 and $10 per run',
    'an open \\(bracket',
    '$\\nosuchcommand{x}$ stays',
    'x $ y$ and the rest of $z',
    '\\$a\\$',
  ]) {
    assert.ok(!hasFormula(toPieces(words)), words);
  }
  assert.equal(plainText(toPieces('$\\nosuchcommand{x}$ stays')), '$\\nosuchcommand{x}$ stays');
});

test('hostile text comes out as text, hostile formulas without links, pictures or styles', () => {
  const tag = '<script>alert(1)</script>';
  assert.deepEqual(toPieces(tag), [{ text: tag }]);
  for (const formula of [
    '$\\href{javascript:alert(1)}{x}$',
    '$\\url{javascript:alert(1)}$',
    '$\\includegraphics{https://example.org/x.png}$',
    '$\\htmlStyle{position:fixed}{x}$',
    '$\\htmlData{a=b}{x}$',
    `$${tag}$`,
  ]) {
    const drawn = formulasOf(toPieces(formula)).join('');
    assert.doesNotMatch(drawn, /<script|<a |<img|position:fixed|data-a|href=/i, formula);
    assert.equal(drawn === '', formula.startsWith('$\\'), formula);
  }
  // Neither endless expansion nor a formula as large as the page.
  assert.ok(!hasFormula(toPieces('$\\def\\a{\\a\\a}\\a$')));
  const wide = formulasOf(toPieces('$\\rule{9999em}{9999em}$'))[0]!;
  assert.doesNotMatch(wide.replace(/<annotation.*<\/annotation>/, ''), /\d{3,}em/);
});

test('hits stay marked around formulas and never within', () => {
  const pieces = toPieces([
    { text: 'A ', isHit: false },
    { text: 'tight', isHit: true },
    { text: ' bound $', isHit: false },
    { text: 'x', isHit: true },
    { text: '+1$ on ', isHit: false },
    { text: 'attention', isHit: true },
  ]);
  assert.deepEqual(
    pieces.map((piece) => ('formula' in piece ? 'formula' : [piece.text, piece.isHit ?? false])),
    [['A ', false], ['tight', true], [' bound ', false], 'formula', [' on ', false], ['attention', true]],
  );
  assert.equal(plainText(pieces), 'A tight bound x+1 on attention');
});

test('TeX of running text becomes what it stands for', () => {
  for (const [tex, words] of [
    ['G\\"odel, M\\"{o}ller, Erd\\H{o}s, \\\'Elie, \\v{S}, \\o re', 'Gödel, Möller, Erdős, Élie, Š, øre'],
    ['\\emph{almost} surely \\textbf{so}', 'almost surely so'],
    ['95\\% of A\\&B, x\\_1', '95% of A&B, x_1'],
    ["``quoted'' -- pages 1--2", '“quoted” -- pages 1–2'],
    ['state-of-the-art, --flag', 'state-of-the-art, --flag'],
  ] as const) {
    assert.equal(plain(tex), words);
  }
});

test('an excerpt is whole sentences, and a part only of a sentence that is too long', () => {
  assert.equal(firstSentences('One. Two. Three.', 9), 'One. Two.');
  assert.equal(firstSentences('Short.\n Text.', 100), 'Short. Text.');
  const long = firstSentences(`${'word '.repeat(200)}end.`, 50);
  assert.match(long, /^(word )+…$/);
  assert.ok(long.length <= 52);
});

test('a passage is completed to whole formulas and says where the text goes on', () => {
  const whole = 'We show $x < y$ and $a + b$ for all of them.';
  const cut = (text: string) =>
    passage(whole, [{ text, isHit: true }])
      .map(({ text }) => text)
      .join('');
  assert.equal(cut('y$ and $a'), '… $x < y$ and $a + b$ …');
  assert.equal(cut('We show $x'), 'We show $x < y$ …');
  assert.equal(cut('for all of them.'), '… for all of them.');
  assert.equal(cut(whole), whole);
  assert.equal(cut('not of it'), 'not of it');
});
