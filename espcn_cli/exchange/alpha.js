// Transparency: colours bleed under transparent pixels, soft edges go through the network, hard ones by bicubic, and no
// value leaves the range of its neighbours. The same rules as in espcn's upscaling/alpha.py and edges.py.

// Let visible colours flow `reach` pixels far under fully transparent ones: RGBA in, RGBA out.
function bleed(pixels, width, height, reach) {
  const known = new Uint8Array(width * height), values = new Float32Array(width * height * 3);
  for (let n = 0; n < known.length; n++)
    if (pixels[4 * n + 3]) {
      known[n] = 1;
      for (let c = 0; c < 3; c++) values[3 * n + c] = pixels[4 * n + c];
    }
  for (let step = 0; step < reach; step++) {
    const fresh = [];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        const n = y * width + x;
        if (known[n]) continue;
        let count = 0, sum = [0, 0, 0];
        for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++)
          for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++) {
            const m = v * width + u;
            if (known[m]) { count++; for (let c = 0; c < 3; c++) sum[c] += values[3 * m + c]; }
          }
        if (count) fresh.push([n, sum.map((s) => s / count)]);
      }
    if (!fresh.length) break;
    for (const [n, color] of fresh) { known[n] = 1; values.set(color, 3 * n); }
  }
  const result = new Uint8Array(pixels.length);
  for (let n = 0; n < known.length; n++) {
    for (let c = 0; c < 3; c++) result[4 * n + c] = known[n] ? Math.floor(values[3 * n + c] + 0.5) : pixels[4 * n + c];
    result[4 * n + 3] = 255;
  }
  return result;
}

// Alpha scale times larger, from itself and from what the network and bicubic made of it (planes of levels).
function enlargedAlpha(alpha, width, height, scale, byNetwork, byBicubic) {
  const share = grown(softnessAround(alpha, width, height), width, height, scale, (x, beside, distance) => x + distance * (beside - x));
  const own = softness(...depthAndHeight(alpha, width, height));
  const [least, greatest] = [Math.min, Math.max].map((choose) => bound(choose, alpha, own, width, height, scale));
  return share.map((s, n) => {
    const value = byBicubic[n] + s * (byNetwork[n] - byBicubic[n]);
    return Math.floor(Math.min(Math.max(value, least[n]), greatest[n]) + 0.5);
  });
}

function bound(choose, alpha, own, width, height, scale) {
  const near = grown(alpha, width, height, scale, (x, beside, distance) => (distance ? choose(x, beside) : x));
  const around = overNeighbours(choose, alpha, width, height), wide = width * scale;
  return near.map((value, n) => {
    const small = Math.floor(Math.floor(n / wide) / scale) * width + Math.floor((n % wide) / scale);
    return value + own[small] * (around[small] - value);
  });
}

function softnessAround(alpha, width, height) {
  let [depth, span] = depthAndHeight(alpha, width, height);
  for (let step = 0; step < 2; step++) [depth, span] = [depth, span].map((x) => overNeighbours(Math.max, x, width, height));
  const found = softness(depth, span), result = new Float32Array(found.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let sum = 0, count = 0;
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, height - 1); v++)
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, width - 1); u++, count++) sum += found[v * width + u];
      result[y * width + x] = sum / count;
    }
  return result;
}

function depthAndHeight(alpha, width, height) {
  const least = overNeighbours(Math.min, alpha, width, height), greatest = overNeighbours(Math.max, alpha, width, height);
  return [alpha.map((x, n) => Math.min(x - least[n], greatest[n] - x)), alpha.map((x, n) => greatest[n] - least[n])];
}

function softness(depth, span) {
  return depth.map((d, n) => Math.min((6 * d) / Math.max(span[n], 1), 1));
}

function overNeighbours(choose, x, width, height) {
  const rows = x.map((value, n) => {
    const y = Math.floor(n / width);
    return choose(value, x[y ? n - width : n], x[y < height - 1 ? n + width : n]);
  });
  return rows.map((value, n) => choose(value, rows[n % width ? n - 1 : n], rows[n % width < width - 1 ? n + 1 : n]));
}

// Each new pixel from the one in which it lies, the next one on its side, and its distance from the first one's centre.
function grown(x, width, height, scale, combine) {
  const phase = (place) => ((place % scale) + 0.5) / scale - 0.5;
  const beside = (place, length) => Math.min(Math.max(Math.floor(place / scale) + (phase(place) < 0 ? -1 : 1), 0), length - 1);
  const tall = new Float32Array(width * height * scale), result = new Float32Array(tall.length * scale);
  for (let y = 0; y < height * scale; y++)
    for (let u = 0; u < width; u++)
      tall[y * width + u] = combine(x[Math.floor(y / scale) * width + u], x[beside(y, height) * width + u], Math.abs(phase(y)));
  for (let y = 0; y < height * scale; y++)
    for (let u = 0; u < width * scale; u++)
      result[y * width * scale + u] = combine(tall[y * width + Math.floor(u / scale)], tall[y * width + beside(u, width)], Math.abs(phase(u)));
  return result;
}
