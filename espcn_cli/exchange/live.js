// The page: what people do, and what they are told.

const MOST = 150e6; // pixels of a result that this page holds in memory
const SHOWN = 50e6; // and of one that it shows whole; a larger one is shown smaller, and saved as it is
const at = (id) => document.getElementById(id);

let engine, broken;
let work = Promise.resolve(); // what is done with the network, one thing after another
let results = [], current = null;
let stream = null; // of a camera or a window
let loaded = ""; // which network at which strength the engine has

// --- networks ---------------------------------------------------------------------------------------------------------

// What `packed` in espcn's exchange/page.py wrote: the three upper bytes of each float.
function floats(text) {
  const packed = atob(text), bits = new Uint32Array(packed.length / 3);
  for (let n = 0; n < packed.length; n++) bits[Math.floor(n / 3)] |= packed.charCodeAt(n) << (8 * ((n % 3) + 1));
  return new Float32Array(bits.buffer);
}

function layersOf(model, text) {
  const values = floats(text);
  let place = 0;
  const take = (count) => values.subarray(place, (place += count));
  return model.layers.map((layer) => {
    const side = 4 * layer.outputs;
    return { ...layer, biases: take(side), slopes: take(side), matrices: take(side * layer.inputs * layer.kernel ** 2 * 4) };
  });
}

function mixed(clean, real, strength) {
  const between = (a, b) => a.map((value, n) => value * (1 - strength) + b[n] * strength);
  return real.map((layer, n) => ({
    ...layer, ...Object.fromEntries(["matrices", "biases", "slopes"].map((name) => [name, between(clean[n][name], layer[name])])),
  }));
}

async function use(model, strength) {
  const wanted = `${PAGE.models.indexOf(model)} ${strength}`;
  if (loaded === wanted) return;
  loaded = "";
  say(`Preparing ${model.title} ...`);
  const real = layersOf(model, model.weights);
  await engine.load(model, model.clean ? mixed(layersOf(model, model.clean), real, strength) : real);
  await engine.upscale(new Uint8Array(4 * 4 * 4), 4, 4, false, () => {}); // drivers finish compiling at the first use
  loaded = wanted;
}

function chosen() {
  return PAGE.models[at("model").value];
}

// The strength that is asked for; where it goes by the picture, and there is none yet, the usual one.
function strengthOf(model, choose = null) {
  if (!model.clean) return model.strength;
  return at("strength").value === "auto" ? (choose ?? model.strength) : Number(at("strength").value);
}

// --- pictures ---------------------------------------------------------------------------------------------------------

async function decoded(file) {
  try {
    return await createImageBitmap(file, { premultiplyAlpha: "none", imageOrientation: "from-image" });
  } catch {
    throw new Trouble(`${file.name}: this browser cannot decode it as a picture. Convert it to PNG or JPEG first.`);
  }
}

async function upscaled(file) {
  const model = chosen(), bitmap = await decoded(file), { width, height } = bitmap, { scale } = model;
  if (width * height * scale ** 2 > MOST)
    throw new Trouble(`${file.name}: ${width} x ${height} pixels are too many for a page. Use the command: espcn upscale.`);
  const pixels = await engine.pixels(bitmap);
  bitmap.close();
  const strength = strengthOf(model, model.clean && (await chooseStrength(pixels, width, height, file)));
  await use(model, strength);
  say(`Upscaling ${file.name} ...`);
  const alpha = pixels.some((value, n) => n % 4 === 3 && value < 255);
  const grey = !pixels.some((value, n) => n % 4 === 0 && (value !== pixels[n + 1] || value !== pixels[n + 2]));
  const started = performance.now(), share = alpha ? 0.5 : 1;
  const result = await engine.upscale(alpha ? bleed(pixels, width, height, engine.halo) : pixels, width, height, grey, (done) => bar(done * share));
  if (alpha) await addAlpha(result, pixels, width, height, scale);
  return { ...result, file, grey, alpha, source: pixels, small: [width, height], title: model.clean ? `${model.title}, strength ${strength}` : model.title, scale, strength, seconds: (performance.now() - started) / 1000 };
}

async function addAlpha({ after, before }, pixels, width, height, scale) {
  const alpha = new Float32Array(width * height), opaque = new Uint8Array(pixels.length).fill(255);
  for (let n = 0; n < alpha.length; n++) {
    alpha[n] = pixels[4 * n + 3];
    opaque.fill(alpha[n], 4 * n, 4 * n + 3);
  }
  const large = await engine.upscale(opaque, width, height, true, (done) => bar(0.5 + done / 2));
  const [byNetwork, byBicubic] = [large.after, large.before].map((x) => Float32Array.from({ length: x.length / 4 }, (_, n) => x[4 * n]));
  const flat = alpha.every((value) => value === alpha[0]);
  const made = flat ? byNetwork.fill(alpha[0]) : enlargedAlpha(alpha, width, height, scale, byNetwork, byBicubic);
  for (let n = 0; n < made.length; n++) after[4 * n + 3] = before[4 * n + 3] = made[n];
}

function take(files) {
  for (const file of files) {
    if (file.type.startsWith("video/")) return play(file);
    queue(async () => {
      results.push(await upscaled(file));
      show(results.at(-1));
    });
  }
}

// One thing after another; what goes wrong is told, and the next one is done all the same.
function queue(step) {
  work = work.then(async () => {
    if (broken) return;
    document.body.setAttribute("aria-busy", "true");
    try {
      await step();
    } catch (error) {
      trouble(error);
    }
    bar(null);
    document.body.removeAttribute("aria-busy");
  });
}

function show(result) {
  if (stream || at("video").src) stop();
  current = result;
  const { width, height, small, file } = result, step = Math.ceil(Math.sqrt((width * height) / SHOWN));
  paint(at("after"), result.after, width, height, step);
  paint(at("before"), result.before, width, height, step);
  paint(at("source"), result.source, ...small, step);
  at("viewer").hidden = false;
  list();
  zoom();
  const smaller = step > 1 ? ` Shown at 1/${step} of its size, saved whole.` : "";
  say(`${file.name}: ${small.join(" x ")} → ${width} x ${height} by ${result.title} in ${result.seconds.toFixed(1)} s.${smaller}`);
  at("kept").textContent = `Saved as a PNG of 8 bits in sRGB, turned upright${result.alpha ? ", with its transparency" : ""}; metadata and other frames stay behind.`;
}

// Every `step`th pixel of a picture onto a canvas.
function paint(canvas, pixels, width, height, step) {
  const w = Math.ceil(width / step), h = Math.ceil(height / step);
  let data = pixels;
  if (step > 1) {
    const from = new Uint32Array(pixels.buffer), to = new Uint32Array(w * h);
    for (let n = 0; n < to.length; n++) to[n] = from[Math.floor(n / w) * step * width + (n % w) * step];
    data = to;
  }
  Object.assign(canvas, { width: w, height: h });
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(data.buffer), w, h), 0, 0);
}

function list() {
  at("pictures").hidden = results.length < 2;
  at("pictures").replaceChildren(...results.map((result) => {
    const item = document.createElement("li"), button = document.createElement("button");
    button.textContent = result.file.name;
    button.setAttribute("aria-pressed", result === current);
    button.onclick = () => show(result);
    item.append(button);
    return item;
  }));
}

function zoom() {
  if (!current) return;
  const stage = at("stage"), fit = at("zoom").value === "fit", room = at("viewer").clientWidth - 2;
  const scale = fit ? Math.min(1, room / current.width, (innerHeight * 0.78) / current.height) : Number(at("zoom").value);
  stage.classList.toggle("enlarged", scale > 1);
  stage.classList.toggle("fits", current.width * scale <= room);
  at("stack").style.width = `${current.width * scale}px`;
  at("stack").style.height = `${current.height * scale}px`;
  split();
}

function split() {
  const share = Number(at("split").value), stage = at("stage");
  for (const name of ["before", "source"]) {
    at(name).style.clipPath = `inset(0 ${100 - 100 * share}% 0 0)`;
    at(name).hidden = at("other").value !== name;
  }
  stage.querySelector(".edge").style.left = `${100 * share}%`;
}

async function save() {
  if (!current) return;
  const { file, after, width, height, grey, alpha, scale } = current;
  say(`Saving ${file.name} ...`);
  const blob = await png(after, width, height, grey, alpha), link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${file.name.replace(/\.[^.]*$/, "")}_x${scale}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`${link.download} was handed to the browser's downloads.`);
}

// A picture made of nothing but arithmetic: edges, fine stripes, text, and colours that meet.
function example() {
  const canvas = document.createElement("canvas"), c = canvas.getContext("2d");
  Object.assign(canvas, { width: 320, height: 200 });
  const sky = c.createLinearGradient(0, 0, 0, 200);
  sky.addColorStop(0, "#27408b");
  sky.addColorStop(1, "#f0b27a");
  c.fillStyle = sky;
  c.fillRect(0, 0, 320, 200);
  for (let n = 0; n < 40; n++) {
    c.strokeStyle = `hsl(${n * 9} 70% 60%)`;
    c.lineWidth = 0.6 + n / 25;
    c.beginPath();
    c.arc(90, 100, 8 + n * 2, 0, (2 + n / 20) * Math.PI);
    c.stroke();
  }
  c.fillStyle = "#fff";
  c.font = "bold 28px serif";
  c.fillText("espcn", 200, 60);
  c.font = "11px sans-serif";
  c.fillText("Small text, too small to read?", 168, 84);
  for (let n = 0; n < 24; n++) {
    c.fillStyle = n % 2 ? "#c0392b" : "#1a5276";
    c.beginPath();
    c.moveTo(240, 150);
    c.arc(240, 150, 42, (n * Math.PI) / 12, ((n + 1) * Math.PI) / 12);
    c.fill();
  }
  canvas.toBlob((blob) => take([new File([blob], "example.png", { type: "image/png" })]));
}

// --- video ------------------------------------------------------------------------------------------------------------

let shown = 0, dropped = 0, times = [], last = 0, drawing = false;

async function play(source) {
  stop();
  queue(async () => {
    const video = at("video"), model = chosen();
    await use(model, strengthOf(model));
    at("viewer").hidden = true;
    [shown, dropped, times, last] = [0, 0, [], 0];
    if (source instanceof MediaStream) {
      stream = source;
      video.srcObject = source;
      video.muted = true;
    } else video.src = URL.createObjectURL(source);
    await new Promise((ready, fail) => {
      video.onloadeddata = ready;
      video.onerror = () => fail(new Trouble(`${source.name || "The video"}: this browser cannot play it. Convert it to MP4 (H.264) or WebM first.`));
    }).catch((error) => {
      stop();
      throw error;
    });
    if (!video.videoWidth) {
      stop();
      throw new Trouble(`${source.name || "The video"}: there are no pictures in it that this browser can decode.`);
    }
    const { scale } = model, most = Math.floor(Math.min(engine.largest / scale, engine.largest - 2 * engine.halo));
    if (Math.max(video.videoWidth, video.videoHeight) > most) {
      stop();
      throw new Trouble(`${source.name || "The video"}: ${video.videoWidth} x ${video.videoHeight} is more than this graphics card takes at x${scale}.`);
    }
    at("player").hidden = false;
    at("seek").hidden = Boolean(stream);
    say(`${source.name || "Live"}: ${video.videoWidth} x ${video.videoHeight} → ${video.videoWidth * scale} x ${video.videoHeight * scale} by ${model.title}.`);
    video.play().catch(() => {}); // a browser may want a click first
    next();
  });
}

function next() {
  const video = at("video"), told = "requestVideoFrameCallback" in video;
  if (at("player").hidden) return;
  told ? video.requestVideoFrameCallback(frame) : requestAnimationFrame((now) => frame(now, { presentedFrames: last + 1 }));
}

function frame(now, { presentedFrames }) {
  const video = at("video");
  if (at("player").hidden) return;
  draw();
  if (last) dropped += Math.max(presentedFrames - last - 1, 0);
  last = presentedFrames;
  shown++;
  times = [...times.filter((time) => time > now - 1000), now];
  const { droppedVideoFrames = 0 } = video.getVideoPlaybackQuality?.() ?? {};
  at("rate").textContent = `Frames per second: ${times.length}; shown: ${shown}; dropped: ${dropped + droppedVideoFrames}`;
  if (video.duration && !at("seek").matches(":active")) at("seek").value = video.currentTime / video.duration;
  at("play").textContent = video.paused ? "Play" : "Pause";
  next();
}

function draw() {
  const video = at("video");
  if (at("player").hidden || engine.lost || !loaded || !video.videoWidth) return;
  const share = Number(at("live-split").value);
  engine.show(video, video.videoWidth, video.videoHeight, share);
  const { offsetLeft, offsetWidth } = engine.canvas, edge = at("screen").querySelector(".edge");
  edge.hidden = !share;
  edge.style.left = `${offsetLeft + share * offsetWidth}px`;
}

function stop() {
  const video = at("video");
  at("player").hidden = true;
  video.onerror = video.onloadeddata = null;
  video.pause();
  stream?.getTracks().forEach((track) => track.stop());
  if (video.src) URL.revokeObjectURL(video.src);
  stream = video.srcObject = null;
  video.removeAttribute("src");
  video.load();
}

async function capture(ask) {
  try {
    play(await ask());
  } catch (error) {
    trouble(new Trouble(`The browser gave nothing to show: ${error.message}`));
  }
}

// --- what is told -----------------------------------------------------------------------------------------------------

function say(line) {
  at("status").className = "";
  at("status").textContent = line;
}

function trouble(error) {
  at("status").className = "trouble";
  at("status").textContent = error instanceof Trouble ? error.message : `Something went wrong, which is our fault: ${error.message}`;
  if (!(error instanceof Trouble)) console.error(error);
}

function bar(share) {
  at("bar").hidden = share === null;
  at("bar").value = share ?? 0;
}

// --- hands and keys ---------------------------------------------------------------------------------------------------

function again() {
  if (!at("player").hidden) queue(async () => { await use(chosen(), strengthOf(chosen())); draw(); say(chosen().title); });
  else if (current) {
    const { file } = current;
    queue(async () => {
      const index = results.findIndex((result) => result.file === file);
      show((results[index] = await upscaled(file)));
    });
  }
}

function choose() {
  const model = chosen();
  at("strengths").hidden = !model.clean;
  again();
}

function drag(event) {
  if (event.type === "pointerdown" && event.button) return;
  if (event.type === "pointermove" && !event.buttons) return;
  const { left, width } = at("stack").getBoundingClientRect();
  at("split").value = (event.clientX - left) / width;
  split();
}

function key(event) {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const playing = !at("player").hidden, line = at(playing ? "live-split" : "split"), select = at("zoom");
  const keys = {
    ArrowLeft: () => { line.value = Number(line.value) - 0.02; line.oninput(); },
    ArrowRight: () => { line.value = Number(line.value) + 0.02; line.oninput(); },
    "+": () => { select.selectedIndex = Math.min(select.selectedIndex + 1, select.length - 1); zoom(); },
    "-": () => { select.selectedIndex = Math.max(select.selectedIndex - 1, 0); zoom(); },
    s: () => at("save").click(),
    f: () => playing && at("full").click(),
    " ": () => playing && !event.target.matches("button, summary") && at("play").click(),
  };
  const act = keys[event.key];
  if (!act || (event.key === " " && !playing)) return;
  if (event.key !== " " || !event.target.matches("button, summary")) event.preventDefault();
  act();
}

async function start() {
  at("model").append(...PAGE.models.map(({ title }, n) => new Option(title, n)));
  at("strength").append(new Option("by the picture", "auto"), ...[...Array(9).keys()].map((n) => new Option(n / 8, n / 8)));
  at("strengths").hidden = !chosen().clean;
  at("model").onchange = choose;
  at("strength").onchange = again;
  at("files").onchange = () => { take(at("files").files); };
  at("files").onclick = () => { at("files").value = ""; };
  at("example").onclick = example;
  at("save").onclick = () => queue(save);
  at("zoom").onchange = zoom;
  at("other").onchange = at("split").oninput = split;
  at("stage").onpointerdown = at("stage").onpointermove = drag;
  addEventListener("resize", zoom);
  addEventListener("keydown", key);
  addEventListener("paste", (event) => take(event.clipboardData.files));
  for (const name of ["dragover", "dragleave", "drop"])
    addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files);
    });
  const video = at("video");
  at("play").onclick = () => (video.paused ? video.play() : video.pause());
  video.onplay = video.onpause = () => { at("play").textContent = video.paused ? "Play" : "Pause"; };
  at("seek").oninput = () => { if (video.duration) video.currentTime = at("seek").value * video.duration; };
  at("volume").oninput = () => { video.volume = at("volume").value; };
  at("live-split").oninput = draw;
  at("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : at("screen").requestFullscreen());
  at("stop").onclick = stop;
  const devices = navigator.mediaDevices;
  at("camera").hidden = !devices?.getUserMedia;
  at("camera").onclick = () => capture(() => devices.getUserMedia({ video: true }));
  at("window").hidden = !devices?.getDisplayMedia;
  at("window").onclick = () => capture(() => devices.getDisplayMedia({ video: true }));
  try {
    engine = new Engine(at("live"));
    queue(async () => { await use(chosen(), strengthOf(chosen())); say("Ready."); });
  } catch (error) {
    broken = true;
    trouble(error);
  }
  at("live").addEventListener("webglcontextlost", (event) => {
    event.preventDefault();
    trouble(new Trouble("The graphics card was taken away: waiting until it is back."));
  });
  at("live").addEventListener("webglcontextrestored", () => {
    engine = new Engine(at("live"));
    loaded = "";
    queue(async () => { await use(chosen(), strengthOf(chosen())); say("Ready again."); });
    again();
  });
}

start();
