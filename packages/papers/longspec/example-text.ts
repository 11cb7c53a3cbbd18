/** The text that `wp run longspec` continues when none is given: our own. */

export const exampleText = `The harbour lay quiet under the first snow of the year, and the ferry, which should have left at nine, was still made fast to the quay at noon. The captain had gone ashore for news of the weather and had not come back. In the saloon the passengers sat around the stove, those with tickets for the islands and those who only wanted to be warm.

"He will not sail today," said the old woman with the basket, who had said the same thing at ten and at eleven.

"He sailed in worse," said the engineer. "In the winter of the great ice he sailed with a crew of three, and one of them was the cook."

Nobody answered. The stove ticked. Outside, a boy was sweeping the snow from the gangway, and as fast as he swept it the wind put it back. `;
