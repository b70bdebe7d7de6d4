// Which strength a picture gets: espcn's upscaling/strength.py and pictures/traces.py once more, number by number.
// What they read in WebP files is not read here.

const BLOCK = 8, WINDOW = 64, ACROSS = 4;

// RGBA and its file -> a strength from 0 to 1, in eighths.
async function chooseStrength(pixels, width, height, file) {
  const values = [...statistics(windowsOf(pixels, width, height)), ...facts(await traces(file, pixels))];
  const { mean, deviation, hidden, bias, output, last } = fitted();
  const usual = values.map((value, n) => Math.min(Math.max((value - mean[n]) / deviation[n], -4), 4));
  const sum = [...bias].reduce((total, start, k) => {
    const inner = usual.reduce((all, value, n) => all + value * hidden[k * usual.length + n], start);
    return total + output[k] * Math.tanh(inner);
  }, last[0]);
  return Math.round(8 / (1 + Math.exp(-sum))) / 8;
}

function fitted() {
  const values = floats(PAGE.choice.weights);
  let place = 0;
  const parts = PAGE.choice.sizes.map(([name, size]) => [name, values.subarray(place, (place += size))]);
  return Object.fromEntries(parts);
}

function facts({ jpeg, colours }) {
  const known = jpeg !== null;
  return [known, known ? (100 - jpeg) / 50 : 0, known ? Math.log(101 - jpeg) / 4 : 0, 0, 0, colours !== null, colours ? 1 - Math.log2(colours) / 8 : 0].map(Number);
}

async function traces(file, pixels) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return { jpeg: jpegQuality(bytes), colours: null };
  const palette = (bytes[0] === 137 && bytes[25] === 3) || (bytes[0] === 71 && bytes[1] === 73); // PNG of a palette, GIF
  return { jpeg: null, colours: palette ? new Set(new Uint32Array(pixels.buffer)).size : null };
}

// The quality from 1 to 100 at which libjpeg's luma table is like this file's; null for another kind.
function jpegQuality(bytes) {
  const tables = {};
  let luma = null;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1], length = (bytes[at + 2] << 8) | bytes[at + 3], end = at + 2 + length;
    if (marker === 0xdb)
      for (let n = at + 4; n < end; ) {
        const wide = bytes[n] >> 4 ? 2 : 1, table = new Array(64);
        for (let k = 0; k < 64; k++) table[ZIGZAG[k]] = wide === 2 ? (bytes[n + 1 + 2 * k] << 8) | bytes[n + 2 + 2 * k] : bytes[n + 1 + k];
        tables[bytes[n] & 15] = table;
        n += 1 + 64 * wide;
      }
    if (marker >= 0xc0 && marker <= 0xc2) luma = bytes[at + 12];
    if (marker === 0xda) break;
    at = end;
  }
  const found = tables[luma];
  if (!found) return null;
  const off = (quality) => {
    const percent = quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality;
    return PAGE.choice.standard.map((value, n) => {
      const made = Math.min(Math.max(Math.floor((value * percent + 50) / 100), 1), 255);
      return Math.abs(Math.log(made / Math.min(Math.max(found[n], 0.1), 255)));
    });
  };
  let best = null;
  for (let quality = 1; quality <= 100; quality++) {
    const all = off(quality), coarse = average(all.filter((_, n) => (n >> 3) + (n & 7) < 7)), worth = coarse + 0.01 * average(all);
    if (!best || worth < best.worth) best = { quality, coarse, worth };
  }
  return best.coarse <= 0.3 ? best.quality : null;
}

const ZIGZAG = [...Array(64).keys()].sort((a, b) => {
  const [s, t] = [a, b].map((i) => (i >> 3) + (i & 7)), along = (i, sum) => (sum % 2 ? i >> 3 : i & 7);
  return s - t || along(a, s) - along(b, t);
});

// --- where it is looked: up to 4 · 4 windows, RGB in levels, what is transparent on white -------------------------------

function windowsOf(pixels, width, height) {
  const result = [];
  for (const [top, down] of spread(height))
    for (const [left, across] of spread(width)) {
      const w = Math.max(across, BLOCK), h = Math.max(down, BLOCK), rgb = new Float32Array(w * h * 3);
      for (let n = 0; n < w * h; n++) {
        const y = top + Math.min(Math.floor(n / w), down - 1), x = left + Math.min(n % w, across - 1), from = 4 * (y * width + x);
        const opacity = pixels[from + 3] / 255;
        for (let c = 0; c < 3; c++) rgb[3 * n + c] = pixels[from + c] * opacity + 255 * (1 - opacity);
      }
      result.push({ rgb, width: w, height: h });
    }
  return result;
}

function spread(length) {
  const size = Math.min(WINDOW, Math.max(Math.floor(length / BLOCK) * BLOCK, 1));
  const count = length >= BLOCK ? Math.max(Math.min(Math.floor(length / size), ACROSS), 1) : 1;
  return [...Array(count).keys()].map((n) => [
    Math.floor(Math.floor(((length - size) * n) / Math.max(count - 1, 1)) / BLOCK) * BLOCK, length >= BLOCK ? size : length,
  ]);
}

// --- what is measured -------------------------------------------------------------------------------------------------

function statistics(windows) {
  const lumas = windows.map(({ rgb, width, height }) => ({
    width, height, values: Float32Array.from({ length: width * height }, (_, n) => 0.299 * rgb[3 * n] + 0.587 * rgb[3 * n + 1] + 0.114 * rgb[3 * n + 2]),
  }));
  const along = lumas.flatMap((luma) => lines(luma)), down = lumas.flatMap((luma) => lines(turnedOver(luma)));
  const differences = [along, down].map((all) => all.map(steps));
  return [
    ...frequencies(onBlocks(lumas, differences)), ...sizes(differences),
    ...meanOf(differences.map(edges)), ...flatness(lumas), ...colours(windows, lumas),
    ...[0.05, 0.01].flatMap((share) => meanOf(differences.map((all) => besideEdges(all, share)))),
    ...meanOf(differences.map((all) => echoes(all, windows.length))), ...cutOff(lumas),
  ];
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const log = (value, least = 0.05) => Math.log(value + least);
const meanOf = ([a, b]) => a.map((value, n) => (value + b[n]) / 2);
const steps = (line) => line.subarray(1).map((value, n) => value - line[n]);

function lines({ values, width, height }) {
  return [...Array(height).keys()].map((y) => values.subarray(y * width, (y + 1) * width));
}

function turnedOver({ values, width, height }) {
  return { width: height, height: width, values: values.map((_, n) => values[(n % height) * width + Math.floor(n / height)]) };
}

function part({ values, width }, top, left, height, wide) {
  return { width: wide, height, values: Float32Array.from({ length: wide * height }, (_, n) => values[(top + Math.floor(n / wide)) * width + left + (n % wide)]) };
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort(), place = share * (sorted.length - 1), below = Math.floor(place);
  return sorted[below] + (place - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

function profile(differences) {
  const length = Math.min(BLOCK, differences[0].length);
  return [...Array(length).keys()].map((start) => {
    let sum = 0, count = 0;
    for (const line of differences) for (let n = start; n < line.length; n += BLOCK, count++) sum += Math.abs(line[n]);
    return sum / count;
  });
}

function firstEdge(differences) {
  const found = profile(differences), most = Math.max(...found);
  return most > 1.1 * quantile(found, 0.5) ? (found.indexOf(most) + 1) % BLOCK : 0;
}

function onBlocks(lumas, [along, down]) {
  const left = firstEdge(along), top = firstEdge(down), { width, height } = lumas[0];
  const w = Math.floor((width - left) / BLOCK) * BLOCK, h = Math.floor((height - top) / BLOCK) * BLOCK;
  return w && h ? lumas.map((luma) => part(luma, top, left, h, w)) : lumas;
}

function blocks(lumas) {
  return lumas.flatMap((luma) => {
    const result = [];
    for (let y = 0; y + BLOCK <= luma.height; y += BLOCK) for (let x = 0; x + BLOCK <= luma.width; x += BLOCK) result.push(part(luma, y, x, BLOCK, BLOCK).values);
    return result;
  });
}

const COSINES = [...Array(BLOCK).keys()].map((k) => [...Array(BLOCK).keys()].map((n) => (k ? 0.5 : Math.SQRT1_2 / 2) * Math.cos(((2 * n + 1) * k * Math.PI) / 16)));

function spectrum(block) {
  const rows = new Float64Array(64), result = new Float64Array(64);
  for (let y = 0; y < 8; y++) for (let v = 0; v < 8; v++) for (let x = 0; x < 8; x++) rows[8 * y + v] += COSINES[v][x] * block[8 * y + x];
  for (let u = 0; u < 8; u++) for (let v = 0; v < 8; v++) for (let y = 0; y < 8; y++) result[8 * u + v] += COSINES[u][y] * rows[8 * y + v];
  return result.map(Math.abs);
}

// The mean of each of the seven bands of 64 values.
function bands(values) {
  return [1, 2, 3, 4, 5, 6, 7].map((band) => average([...values].filter((_, n) => Math.max(n >> 3, n & 7) === band)));
}

function frequencies(lumas) {
  const { width, height } = lumas[0], found = blocks(lumas).map(spectrum);
  const over = (spectra, value) => Float64Array.from({ length: 64 }, (_, n) => average(spectra.map((each) => value(each[n]))));
  const mean = over(found, (x) => x), missing = bands(over(found, (x) => Number(x < 0.6)));
  const beside = Math.min(width, height) > BLOCK ? lumas.map((luma) => part(luma, 4, 4, height - 8, width - 8)) : lumas;
  const aside = bands(over(blocks(beside).map(spectrum), (x) => Number(x < 0.6)));
  const noise = found.map((x) => Math.sqrt(average([...x].filter((_, n) => n >> 3 >= 5 && (n & 7) >= 5).map((value) => value * value))));
  return [
    ...bands(mean).map((x) => log(x)), ...bands(over(found, (x) => x * x)).map((x) => log(x)), ...missing,
    ...aside.map((x, n) => x - missing[n]).slice(3),
    ...[4, 5, 6, 7].map((k) => log(mean[k] + mean[8 * k])), ...[4, 5, 6, 7].map((k) => log(mean[9 * k])),
    ...[0.1, 0.5, 0.9].map((share) => log(quantile(noise, share))),
  ];
}

function sizes(differences) {
  const counts = [];
  let size = 0;
  for (const line of differences.flat()) for (const step of line) {
    const bin = Math.floor(Math.abs(step) * 4 + 0.5);
    counts[bin] = (counts[bin] ?? 0) + 1;
    size++;
  }
  let sum = 0;
  const sums = Array.from(counts, (count) => (sum += count ?? 0));
  const shares = [0.25, 0.5, 0.75, 0.9, 0.97, 0.995].map((share) => sums.findIndex((count) => count >= share * size) / 4);
  const grid = differences.map((all) => {
    const found = profile(all), usual = quantile(found, 0.5) + 0.05;
    return [found.at(-1), Math.max(...found)].map((x) => log(x / usual));
  });
  return [...shares.map((x) => log(x, 0.3)), Math.max(...sums.slice(0, 2)) / size, ...meanOf(grid)];
}

function edges(differences) {
  const heights = [], products = [], squares = [];
  for (const line of differences)
    line.forEach((step, n) => {
      squares.push(step * step);
      if (n) products.push(step * line[n - 1]);
      if (n && n < line.length - 1) heights.push(Math.abs(step));
    });
  const same = average(products) / (average(squares) + 0.05), least = Math.max(quantile(heights, 0.95), 3);
  const high = [], onwards = [];
  for (const line of differences)
    for (let n = 1; n < line.length - 1; n++)
      if (Math.abs(line[n]) >= least) {
        high.push(Math.abs(line[n]));
        for (const beside of [line[n - 1], line[n + 1]]) onwards.push(beside * Math.sign(line[n]));
      }
  if (!high.length) return [same, 0, 0, 0];
  const mean = average(high);
  return [same, average(onwards) / mean, average(onwards.map((x) => Math.min(x, 0))) / mean, Math.log(mean)];
}

// What lies 1, 2 and 3 pixels beside single edges, as parts of their height.
function besideEdges(differences, share) {
  const heights = differences.flatMap((line) => [...line.subarray(3, -3)].map(Math.abs)), least = Math.max(quantile(heights, 1 - share), 3);
  const sums = new Array(9).fill(0);
  let whole = 0;
  for (const line of differences)
    for (let n = 3; n < line.length - 3; n++) {
      const height = Math.abs(line[n]);
      if (height < least || height < Math.abs(line[n - 1]) || height < Math.abs(line[n + 1])) continue;
      whole += height;
      for (let away = 1; away <= 3; away++) {
        const [a, b] = [line[n - away], line[n + away]].map((x) => x * Math.sign(line[n]));
        [(a + b) / 2, (Math.min(a, 0) + Math.min(b, 0)) / 2, Math.min(a, b)].forEach((x, k) => (sums[3 * away - 3 + k] += x));
      }
    }
  return whole ? sums.map((x) => x / whole) : sums;
}

// How differences go with those some pixels on, in all and in the mean of windows.
function echoes(differences, count) {
  const each = differences.length / count;
  const windows = [...Array(count).keys()].map((n) => differences.slice(n * each, (n + 1) * each));
  const products = (lines, away) => average(lines.flatMap((line) => [...line.subarray(away)].map((x, n) => x * line[n])));
  const squares = windows.map((lines) => products(lines, 0)), all = average(squares) + 0.05;
  return [
    ...[2, 3, 4].map((away) => average(windows.map((lines) => products(lines, away))) / all),
    ...[1, 2, 3].map((away) => average(windows.map((lines, n) => products(lines, away) / (squares[n] + 0.25)))),
  ];
}

function cutOff(lumas) {
  const values = lumas.flatMap((luma) => [...luma.values]);
  return [average(values.map((x) => Number(x < 1))), average(values.map((x) => Number(x > 254)))];
}

function flatness(lumas) {
  const ranges = blocks(lumas).map((block) => Math.max(...block) - Math.min(...block)), crossed = [];
  for (const { values, width, height } of lumas)
    for (let y = 0; y < height - 1; y++)
      for (let x = 0; x < width - 1; x++) {
        const n = y * width + x;
        crossed.push(Math.abs(values[n] - values[n + 1] - values[n + width] + values[n + width + 1]));
      }
  const share = (most) => average(ranges.map((range) => Number(range < most)));
  return [share(0.5), share(4), log(average(crossed.map((x) => x * x))), log(quantile(crossed, 0.5))];
}

function colours(windows, lumas) {
  const fine = [2, 0].map((channel) => {
    const planes = windows.map(({ rgb, width, height }, n) => ({ width, height, values: lumas[n].values.map((luma, m) => rgb[3 * m + channel] - luma) }));
    const square = (all) => average(all.flatMap((line) => [...steps(line)].map((x) => x * x)));
    return square(planes.flatMap(lines)) + square(planes.flatMap((plane) => lines(turnedOver(plane))));
  });
  const found = new Set(), levels = new Set();
  let count = 0;
  for (const { rgb } of windows)
    for (let n = 0; n < rgb.length; n += 3, count++) {
      const code = Math.trunc(rgb[n]) * 65536 + Math.trunc(rgb[n + 1]) * 256 + Math.trunc(rgb[n + 2]);
      found.add((Math.imul(code, 2654435761) >>> 12) & 0xffff);
    }
  for (const { values } of lumas) for (const value of values) levels.add(Math.floor(value + 0.5));
  return [...fine.map((x) => log(x)), Math.log2(found.size) - Math.log2(count), Math.log2(found.size), Math.log2(levels.size)];
}
