// A PNG of whole levels, as they are: a canvas would lose colours under transparency.

const CRCS = new Uint32Array(256).map((_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function chunk(name, data) {
  const bytes = new Uint8Array(data.length + 12), view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let n = 0; n < 4; n++) bytes[4 + n] = name.charCodeAt(n);
  bytes.set(data, 8);
  let crc = 0xffffffff;
  for (let n = 4; n < data.length + 8; n++) crc = CRCS[(crc ^ bytes[n]) & 255] ^ (crc >>> 8);
  view.setUint32(data.length + 8, ~crc);
  return bytes;
}

// RGBA -> a PNG of grey or colour, with alpha or without; rows are filtered by the one above, a band at a time.
async function png(pixels, width, height, grey, alpha) {
  if (typeof CompressionStream === "undefined") throw new Trouble("This browser cannot compress pictures: update it, or try another.");
  const channels = grey ? (alpha ? [0, 3] : [0]) : alpha ? [0, 1, 2, 3] : [0, 1, 2], head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, { 1: 0, 2: 4, 3: 2, 4: 6 }[channels.length]], 8);
  const row = width * channels.length + 1, band = Math.max(1, Math.floor(2 ** 20 / row));
  let top = 0;
  const rows = new ReadableStream({
    pull(stream) {
      const count = Math.min(band, height - top), bytes = new Uint8Array(count * row);
      for (let y = 0; y < count; y++) {
        let to = y * row, at = (top + y) * width * 4;
        bytes[to++] = 2;
        for (let x = 0; x < width; x++, at += 4) for (const c of channels) bytes[to++] = pixels[at + c] - (top + y ? pixels[at + c - width * 4] : 0);
      }
      stream.enqueue(bytes);
      if ((top += count) >= height) stream.close();
    },
  });
  const parts = [new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", head), chunk("sRGB", new Uint8Array([0]))];
  const reader = rows.pipeThrough(new CompressionStream("deflate")).getReader();
  for (let next; !(next = await reader.read()).done; ) parts.push(chunk("IDAT", next.value));
  return new Blob([...parts, chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}
