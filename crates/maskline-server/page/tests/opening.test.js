/** What a person meets first: the page, the sample, pictures of all kinds, and files that are none. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { difference, openPage, scene } from './page.js';
import { DISC, deep, text, tiff, turned } from './pictures.js';
import { CUP, ORANGE } from './places.js';
import { masksWhereClicked } from './seeing.js';

scene('opening', () => {
  test('a first visit is light, and has its first mask at once', async (t) => {
    // Something else of the server first: the browser is warm then, and has seen nothing of the page.
    const one = await openPage({ path: '/openapi.json' });
    one.expect(/favicon/);
    const protocol = await one.context.newCDPSession(one.page);
    await protocol.send('Network.enable');
    // Of bodies, as they are transferred.
    let bytes = 0;
    /** @type {string[]} */
    const urls = [];
    /** @type {Map<string, number>} */
    const heads = new Map();
    protocol.on('Network.responseReceived', ({ requestId, response }) => {
      urls.push(response.url);
      heads.set(requestId, response.encodedDataLength);
    });
    protocol.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
      bytes += encodedDataLength - (heads.get(requestId) ?? 0);
    });
    const began = Date.now();
    await one.page.goto(new URL('/', one.page.url()).href);
    await one.sample();
    const ready = Date.now() - began;
    await one.click(CUP);
    const first = Date.now() - began;
    const size = `${(bytes / 1000).toFixed(1)} kB in ${urls.length} answers`;
    t.diagnostic(`${size}; sample ready after ${ready} ms, its first mask after ${first} ms`);
    assert.ok(bytes < 300_000, `${bytes} bytes: ${urls.join(' ')}`);
    assert.ok(urls.every((url) => url.startsWith(new URL(one.page.url()).origin) || /^(blob|data):/.test(url)), urls.join(' '));
    assert.ok(first < 10_000);
  });

  test('an empty page says what to do', async () => {
    const one = await openPage();
    assert.match(await one.page.title(), /maskline/);
    assert.ok(await one.page.locator('#empty').isVisible());
    for (const name of ['Open picture', 'Try the sample']) {
      assert.ok(await one.page.locator('#empty').getByRole('button', { name, exact: true }).isVisible(), name);
    }
    await one.until('the model is ready', async () => /ready/i.test((await one.page.locator('#model-state').textContent()) ?? ''));
    assert.equal(await one.get('combobox', 'Model').inputValue(), 'nano', 'the first one that takes clicks');
    await one.sample();
    assert.ok(!(await one.page.locator('#empty').isVisible()), 'gone once there is a picture');
    assert.equal(await one.problem(), '');
  });

  test('the sample is shown and clicked, and its mask is where it belongs', async () => {
    const one = await openPage();
    await one.sample();
    const [cup, wall] = await one.colours([CUP, [20, 20]]);
    assert.ok(difference(cup, wall) > 20, `a picture is there: ${cup} ${wall}`);
    await one.click(ORANGE);
    assert.match((await one.page.locator('#said').textContent()) ?? '', /\d+ pixels/, 'a screen reader is told');
    await one.press('New object');
    const found = await masksWhereClicked(one, CUP);
    assert.ok(found.area > 20_000 && found.area < 35_000, `the cup has 27280 pixels, the mask ${found.area}`);
    assert.deepEqual(await one.names(), ['object 1', 'object 2']);
    assert.match((await one.page.locator('#strip').textContent()) ?? '', /decode/i, 'where the time went');
  });

  test('the address can ask for the sample', async () => {
    const one = await openPage({ path: '/?sample' });
    await one.ready();
    await one.click(CUP);
  });

  test('a picture that the camera turned is clicked where it is seen', async () => {
    const one = await openPage();
    await one.openFile(turned());
    await one.ready();
    // The orange of the sample, which is 640 pixels high: turned clockwise.
    const at = [640 - ORANGE[1], ORANGE[0]];
    const [orange] = await one.colours([at]);
    assert.ok(orange && orange[0] > 150 && orange[2] < 110, `orange: ${orange}`);
    const found = await masksWhereClicked(one, at);
    assert.deepEqual([found.width, found.height], [640, 960]);
    assert.ok(found.area > 10_000 && found.area < 20_000, `the orange has 14823 pixels, the mask ${found.area}`);
  });

  const kinds = [{ name: 'a picture of 16 bits', make: deep }, { name: 'a TIFF, which the browser cannot show', make: tiff }];
  for (const { name, make } of kinds) {
    test(name, async () => {
      const one = await openPage();
      await one.openFile(make());
      await one.ready();
      const [disc, ground] = await one.colours([[DISC.x, DISC.y], [20, 20]]);
      assert.ok(difference(disc, [242, 191, 26]) < 16, `the disc: ${disc}`);
      assert.ok(difference(ground, [13, 38, 79]) < 16, `the ground: ${ground}`);
      const found = await masksWhereClicked(one, [DISC.x - 12, DISC.y + 9]);
      assert.deepEqual([found.width, found.height], [DISC.width, DISC.height]);
      const area = Math.PI * DISC.radius ** 2;
      assert.ok(Math.abs(found.area - area) < area / 5, `${found.area} pixels of ${area}`);
    });
  }

  test('a file that is no picture is refused, and the picture stays', async () => {
    const one = await openPage();
    one.expect(/400|415|422/);
    await one.sample();
    await one.openFile(text());
    await one.until('it is said', async () => (await one.problem()) !== '');
    assert.match(await one.problem(), /picture|image|JPEG|decod/i);
    await one.page.locator('#problem').getByRole('button', { name: 'Close', exact: true }).click();
    assert.equal(await one.problem(), '');
    await one.click(CUP);
    assert.deepEqual(await one.names(), ['object 1']);
  });

  test('another picture begins anew', async () => {
    const one = await openPage();
    await one.sample();
    await one.click(CUP);
    await one.openFile(deep());
    await one.ready();
    assert.deepEqual(await one.names(), []);
    assert.ok(await one.get('button', 'Undo').isDisabled(), 'nothing of the old picture can be undone');
    const { body } = await one.click([DISC.x, DISC.y]);
    assert.equal(body.prompts.length, 1);
  });

  test('dropped and pasted pictures are opened', async () => {
    const one = await openPage();
    /** @type {(kind: 'drop'|'paste') => Promise<void>} */
    const give = (kind) => one.page.evaluate(async (kind) => {
      const data = new DataTransfer();
      const blob = await (await fetch('/page/samples/still-life.jpg')).blob();
      data.items.add(new File([blob], `${kind}.jpg`, { type: 'image/jpeg' }));
      const options = { bubbles: true, cancelable: true };
      const event = kind === 'drop'
        ? new DragEvent('drop', { ...options, dataTransfer: data }) : new ClipboardEvent('paste', { ...options, clipboardData: data });
      document.body.dispatchEvent(event);
    }, kind);
    await give('drop');
    await one.ready();
    await one.click(CUP);
    await give('paste');
    await one.until('it begins anew', async () => (await one.objects().count()) === 0);
    await one.ready();
    // Elsewhere: what was answered of the same picture is known.
    await one.click(ORANGE);
  });
});
