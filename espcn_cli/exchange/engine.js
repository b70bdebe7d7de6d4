// The network on the graphics card, by WebGL 2: a pass for four textures of a layer, each of four planes.
//
// One small program serves all layers of one shape; its weights come from a uniform buffer, so that nothing large is
// compiled. Planes lie in half floats; the picture itself, and what is added to it, are put together in full floats.

const REACH = 2; // LR pixels that bicubic interpolation and the slopes of colours look to each side

class Trouble extends Error {} // what the user is told as it is

const VERTICES = `#version 300 es
void main() { gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0); }`;

const HEAD = `#version 300 es
precision highp float; precision highp int; precision highp sampler2D; precision highp sampler2DArray;
const vec3 LUMA = vec3(0.299, 0.587, 0.114);
uniform sampler2D picture;
uniform ivec2 size;
ivec2 inside(ivec2 p) { return clamp(p, ivec2(0), size - 1); }
`;

const ACTIVATIONS = {
  none: (v) => v,
  tanh: (v) => `tanh(${v})`,
  sigmoid: (v) => `1.0 / (1.0 + exp(-${v}))`,
  hardswish: (v) => `${v} * clamp(${v} + 3.0, 0.0, 6.0) / 6.0`,
  prelu: (v, n) => `max(${v}, 0.0) + slopes[${n}] * min(${v}, 0.0)`,
};

// A pass of a layer: `targets` textures from `inputs`, or from the picture itself where that is the first layer.
function layerShader({ inputs, targets, kernel, activation, first, planes }, [black, white]) {
  const each = [...Array(targets).keys()];
  const taken = first
    ? `vec4 t = vec4(${planes === 1 ? "vec3(dot(texelFetch(picture, q, 0).rgb, LUMA), 0.0, 0.0)" : "texelFetch(picture, q, 0).rgb"}
        * ${float(white - black)} + ${float(black)}, 0.0);`
    : "vec4 t = texelFetch(given, ivec3(q, i), 0);";
  return `${HEAD}
uniform sampler2DArray given;
layout(std140) uniform Weights { vec4 biases[${targets}]; vec4 slopes[${targets}]; mat4 taps[${inputs * kernel * kernel * targets}]; };
${each.map((n) => `layout(location = ${n}) out vec4 v${n};`).join("\n")}
void main() {
  ivec2 p = ivec2(gl_FragCoord.xy);
  ${each.map((n) => `vec4 s${n} = biases[${n}];`).join(" ")}
  int n = 0;
  for (int i = 0; i < ${inputs}; i++)
    for (int y = -${kernel >> 1}; y <= ${kernel >> 1}; y++)
      for (int x = -${kernel >> 1}; x <= ${kernel >> 1}; x++) {
        ivec2 q = p + ivec2(x, y);
        if (q == inside(q)) {
          ${taken}
          ${each.map((n) => `s${n} += taps[n + ${n}] * t;`).join(" ")}
        }
        n += ${targets};
      }
  ${each.map((n) => `v${n} = ${ACTIVATIONS[activation](`s${n}`, n)};`).join(" ")}
}`;
}

// How each colour goes with luma in the 3×3 pixels around: docs/colours.md of espcn.
const SLOPES = `${HEAD}
out vec4 v;
void main() {
  ivec2 p = ivec2(gl_FragCoord.xy);
  float mean = 0.0, square = 0.0;
  vec3 others = vec3(0.0), products = vec3(0.0);
  for (int y = -1; y <= 1; y++)
    for (int x = -1; x <= 1; x++) {
      vec3 c = texelFetch(picture, inside(p + ivec2(x, y)), 0).rgb;
      float l = dot(c, LUMA), m = l - 0.5;
      mean += m / 9.0; square += m * m / 9.0; others += (c - l) / 9.0; products += (c - l) * m / 9.0;
    }
  vec3 change = clamp((products - others * mean) / (square - mean * mean + 0.003), -3.0, 3.0);
  v = vec4(1.0 + change - dot(change, LUMA), 1.0);
}`;

// The phase shift, and what it is added to. Left of `split` there is bicubic interpolation alone.
function shiftShader({ scale, planes, skip, range: [black, white] }) {
  const gain = float(1 / (white - black));
  const base = { none: `- ${float(black / (white - black))} - c`, nearest: "+ near - c", bicubic: "" }[skip];
  const detail =
    planes === 1
      ? `float c = dot(color, LUMA), near = dot(texelFetch(picture, p, 0).rgb, LUMA);
  color += slope * (plane(0) * ${gain} ${base});`
      : `vec3 c = color, near = texelFetch(picture, p, 0).rgb;
  color += vec3(plane(0), plane(1), plane(2)) * ${gain} ${base};
  if (grey) color = vec3(dot(color, LUMA));`;
  return `${HEAD}
uniform sampler2DArray given;
uniform sampler2D slopes;
uniform float cubic[${5 * scale}], linear[${3 * scale}];
uniform ivec2 corner; // the first pixel, in LR
uniform int rows; // of what is drawn on, turned upside down; 0: as it is
uniform float split;
uniform bool grey; // a grey picture stays so
out vec4 v;
int phase;
ivec2 p;
float plane(int c) { int n = c * ${scale * scale} + phase; return texelFetch(given, ivec3(p, n / 4), 0)[n % 4]; }
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  if (rows > 0) at.y = rows - 1 - at.y;
  ivec2 f = at % ${scale};
  p = at / ${scale} + corner;
  phase = f.y * ${scale} + f.x;
  vec3 color = vec3(0.0), slope = vec3(0.0);
  for (int y = 0; y < 5; y++) for (int x = 0; x < 5; x++) {
    float w = cubic[f.y * 5 + y] * cubic[f.x * 5 + x];
    if (w != 0.0) color += w * texelFetch(picture, inside(p + ivec2(x, y) - 2), 0).rgb;
  }
  for (int y = 0; y < 3; y++) for (int x = 0; x < 3; x++)
    slope += linear[f.y * 3 + y] * linear[f.x * 3 + x] * texelFetch(slopes, inside(p + ivec2(x, y) - 1), 0).rgb;
  if (float(at.x) >= split) {
  ${detail}
  }
  v = vec4(floor(clamp(color, 0.0, 1.0) * 255.0 + 0.5) / 255.0, 1.0);
}`;
}

function float(value) {
  const text = String(Math.fround(value));
  return `(${/[.e]/.test(text) ? text : `${text}.0`})`;
}

class Engine {
  // Throws Trouble where the browser has no WebGL 2, or nothing that holds values between the layers.
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, preserveDrawingBuffer: false, powerPreference: "high-performance" });
    if (!gl) throw new Trouble("This browser has no WebGL 2: switch on hardware acceleration in its settings, or try another browser.");
    this.gl = gl;
    if (!gl.getExtension("EXT_color_buffer_float") && !gl.getExtension("EXT_color_buffer_half_float"))
      throw new Trouble("This graphics card cannot hold what lies between the layers of a network: try another browser or device.");
    this.compiles = gl.getExtension("KHR_parallel_shader_compile");
    this.largest = Math.min(gl.getParameter(gl.MAX_TEXTURE_SIZE), ...gl.getParameter(gl.MAX_VIEWPORT_DIMS));
    this.programs = new Map();
    this.buffers = [];
    this.places = {};
    gl.bindVertexArray(gl.createVertexArray());
    gl.disable(gl.DITHER);
  }

  get lost() {
    return this.gl.isContextLost();
  }

  // Take a network and its weights: the programs that it needs are there when this is done.
  async load(network, layers) {
    const { gl } = this;
    this.buffers.forEach((buffer) => gl.deleteBuffer(buffer));
    this.buffers = [];
    this.network = network;
    const most = gl.getParameter(gl.MAX_UNIFORM_BLOCK_SIZE), wanted = [];
    this.passes = layers.map((layer, depth) => {
      const { inputs, outputs, kernel } = layer, room = Math.floor(most / (32 + 64 * inputs * kernel * kernel));
      const targets = Math.min(room, gl.getParameter(gl.MAX_DRAW_BUFFERS), gl.getParameter(gl.MAX_COLOR_ATTACHMENTS), 4);
      if (targets < 1 || outputs > gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS))
        throw new Trouble(`${network.title} is too wide for this graphics card: choose a smaller network.`);
      const steps = [];
      for (let start = 0; start < outputs; start += targets) {
        const shape = { inputs, targets: Math.min(targets, outputs - start), kernel, activation: layer.activation, first: depth === 0, planes: network.planes };
        wanted.push(layerShader(shape, network.range));
        steps.push({ start, count: shape.targets, source: wanted.at(-1), weights: this._weights(layer, start, shape) });
      }
      return { outputs, steps };
    });
    this.shift = shiftShader(network);
    await this._compile([...wanted, SLOPES, this.shift]);
  }

  _weights({ matrices, biases, slopes, inputs, kernel }, start, { targets }) {
    const { gl } = this, taps = inputs * kernel * kernel, data = new Float32Array(targets * (8 + 16 * taps));
    data.set(biases.subarray(4 * start, 4 * (start + targets)));
    data.set(slopes.subarray(4 * start, 4 * (start + targets)), 4 * targets);
    for (let tap = 0; tap < taps; tap++)
      for (let n = 0; n < targets; n++) {
        const from = 16 * ((start + n) * taps + tap);
        data.set(matrices.subarray(from, from + 16), 8 * targets + 16 * (tap * targets + n));
      }
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.UNIFORM_BUFFER, buffer);
    gl.bufferData(gl.UNIFORM_BUFFER, data, gl.STATIC_DRAW);
    this.buffers.push(buffer);
    return buffer;
  }

  // Compiles what is new, all at the same time, and lets the page live meanwhile.
  async _compile(sources) {
    const { gl } = this, fresh = [...new Set(sources)].filter((source) => !this.programs.has(source));
    const made = fresh.map((source) => {
      const program = gl.createProgram();
      const shaders = [[gl.VERTEX_SHADER, VERTICES], [gl.FRAGMENT_SHADER, source]].map(([kind, text]) => {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, text);
        gl.compileShader(shader);
        gl.attachShader(program, shader);
        return shader;
      });
      gl.linkProgram(program);
      return { source, program, shaders };
    });
    for (const { source, program, shaders } of made) {
      while (this.compiles && !this.lost && !gl.getProgramParameter(program, this.compiles.COMPLETION_STATUS_KHR)) await pause(10);
      if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !this.lost)
        throw new Error(`${gl.getProgramInfoLog(program)} ${gl.getShaderInfoLog(shaders[1])}`);
      const uniforms = {}, count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) || 0;
      for (let n = 0; n < count; n++) {
        const { name } = gl.getActiveUniform(program, n);
        uniforms[name.replace("[0]", "")] = gl.getUniformLocation(program, name);
      }
      if (gl.getUniformBlockIndex(program, "Weights") !== gl.INVALID_INDEX) gl.uniformBlockBinding(program, gl.getUniformBlockIndex(program, "Weights"), 0);
      this.programs.set(source, { program, uniforms });
    }
  }

  // Textures for windows of a size, made again only where the size or the network changes.
  _room(width, height) {
    const { gl } = this, planes = Math.max(...this.passes.map((pass) => pass.outputs)), key = `${width} ${height} ${planes}`;
    if (this.places.key === key) return this.places;
    this._free();
    const array = () => {
      const texture = this._texture(gl.TEXTURE_2D_ARRAY);
      gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.RGBA16F, width, height, planes);
      return texture;
    };
    const flat = (format) => {
      const texture = this._texture(gl.TEXTURE_2D);
      gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height);
      return texture;
    };
    this.places = { key, picture: flat(gl.RGBA8), slopes: flat(gl.RGBA16F), planes: [array(), array()], frames: new Map() };
    return this.places;
  }

  _texture(kind) {
    const { gl } = this, texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(kind, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(kind, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(kind, name, gl.CLAMP_TO_EDGE);
    return texture;
  }

  _free() {
    const { gl, places } = this;
    if (!places.key) return;
    [places.picture, places.slopes, ...places.planes].forEach((texture) => gl.deleteTexture(texture));
    places.frames.forEach((frame) => gl.deleteFramebuffer(frame));
    this.places = {};
  }

  // Draw a program into layers of an array of textures, or into one texture.
  _draw(source, target, start, count, uniforms) {
    const { gl, places } = this, key = `${places.planes.indexOf(target)} ${start} ${count}`;
    let frame = places.frames.get(key);
    if (!frame) {
      places.frames.set(key, (frame = gl.createFramebuffer()));
      gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
      const points = [...Array(count).keys()].map((n) => gl.COLOR_ATTACHMENT0 + n);
      points.forEach((point, n) =>
        target === places.slopes
          ? gl.framebufferTexture2D(gl.FRAMEBUFFER, point, gl.TEXTURE_2D, target, 0)
          : gl.framebufferTextureLayer(gl.FRAMEBUFFER, point, target, 0, start + n));
      gl.drawBuffers(points);
    }
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    this._run(source, uniforms);
  }

  _run(source, uniforms) {
    const { gl } = this, { program, uniforms: found } = this.programs.get(source);
    gl.useProgram(program);
    for (const [name, [kind, ...values]] of Object.entries(uniforms)) if (found[name] !== undefined) gl[kind](found[name], ...values);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  // The network on a window whose picture is in `_room`: what `shown` then draws.
  _layers(width, height) {
    const { gl } = this, { picture, slopes, planes } = this.places, common = { picture: ["uniform1i", 0], given: ["uniform1i", 1], size: ["uniform2i", width, height] };
    gl.viewport(0, 0, width, height);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, picture);
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_2D, null);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, null);
    this._draw(SLOPES, slopes, 0, 1, common);
    this.passes.forEach(({ steps }, depth) => {
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, depth ? planes[(depth + 1) % 2] : null);
      for (const { start, count, source, weights } of steps) {
        gl.bindBufferBase(gl.UNIFORM_BUFFER, 0, weights);
        this._draw(source, planes[depth % 2], start, count, common);
      }
    });
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, planes[(this.passes.length + 1) % 2]);
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_2D, slopes);
  }

  _shift(frame, width, height, [left, top], size, rows, split, grey) {
    const { gl, network } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.viewport(0, 0, width, height);
    this._run(this.shift, {
      picture: ["uniform1i", 0], given: ["uniform1i", 1], slopes: ["uniform1i", 2], size: ["uniform2i", ...size],
      cubic: ["uniform1fv", network.cubic], linear: ["uniform1fv", network.linear],
      corner: ["uniform2i", left, top], rows: ["uniform1i", rows], split: ["uniform1f", split],
      grey: ["uniform1i", grey],
    });
  }

  get halo() {
    return Math.max(REACH, this.network.halo);
  }

  // LR pixels of a tile's side: as many as textures and memory take.
  get tile() {
    return Math.min(this.network.tile, Math.floor(this.largest / this.network.scale), this.largest - 2 * this.halo);
  }

  // Pixels (RGBA, of `width` · `height`) -> the same, scale times larger, by the network and by bicubic interpolation.
  // Tile by tile, each with the halo that makes it exact; alpha comes out as 255. `grey`: they are. `tick` hears which share is done.
  async upscale(pixels, width, height, grey, tick) {
    const { gl, halo, tile, network: { scale } } = this, wide = width * scale;
    const after = new Uint8ClampedArray(wide * height * scale * 4), before = new Uint8ClampedArray(after.length);
    const target = gl.createRenderbuffer(), frame = gl.createFramebuffer();
    gl.bindRenderbuffer(gl.RENDERBUFFER, target);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, Math.min(tile, width) * scale, Math.min(tile, height) * scale);
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, target);
    for (let top = 0; top < height; top += tile)
      for (let left = 0; left < width; left += tile) {
        const w = Math.min(tile, width - left), h = Math.min(tile, height - top);
        const x = Math.max(left - halo, 0), y = Math.max(top - halo, 0);
        const across = Math.min(left + w + halo, width) - x, down = Math.min(top + h + halo, height) - y;
        const { picture } = this._room(across, down);
        gl.activeTexture(gl.TEXTURE0);
        gl.bindTexture(gl.TEXTURE_2D, picture);
        unpack(gl, { ROW_LENGTH: width, SKIP_PIXELS: x, SKIP_ROWS: y });
        gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, across, down, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
        unpack(gl, { ROW_LENGTH: 0, SKIP_PIXELS: 0, SKIP_ROWS: 0 });
        this._layers(across, down);
        for (const [result, split] of [[after, 0], [before, 1e9]]) {
          this._shift(frame, w * scale, h * scale, [left - x, top - y], [across, down], 0, split, grey);
          const part = new Uint8Array(w * h * scale * scale * 4);
          gl.readPixels(0, 0, w * scale, h * scale, gl.RGBA, gl.UNSIGNED_BYTE, part);
          for (let row = 0; row < h * scale; row++)
            result.set(part.subarray(row * w * scale * 4, (row + 1) * w * scale * 4), ((top * scale + row) * wide + left * scale) * 4);
        }
        tick((top * width + (left + w) * h) / (width * height));
        await pause(0);
        if (this.lost) throw new Trouble("The graphics card was taken away meanwhile: it is tried again when it is back.");
      }
    gl.deleteFramebuffer(frame);
    gl.deleteRenderbuffer(target);
    return { after, before, width: wide, height: height * scale };
  }

  // A frame of a video, `width` · `height`, drawn onto the canvas; left of `split`, a share, bicubic alone.
  show(video, width, height, split) {
    const { gl, canvas, network: { scale } } = this;
    if (canvas.width !== width * scale || canvas.height !== height * scale) Object.assign(canvas, { width: width * scale, height: height * scale });
    const { picture } = this._room(width, height);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, picture);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, video);
    this._layers(width, height);
    this._shift(null, canvas.width, canvas.height, [0, 0], [width, height], canvas.height, split * canvas.width, false);
  }

  // The pixels of a decoded picture as they are, with colours under transparency: RGBA.
  async pixels(bitmap) {
    const { gl, largest } = this, { width, height } = bitmap, result = new Uint8Array(width * height * 4);
    const side = Math.min(2048, largest), frame = gl.createFramebuffer();
    for (let top = 0; top < height; top += side)
      for (let left = 0; left < width; left += side) {
        const w = Math.min(side, width - left), h = Math.min(side, height - top);
        const part = await createImageBitmap(bitmap, left, top, w, h, { premultiplyAlpha: "none" });
        const texture = this._texture(gl.TEXTURE_2D);
        gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, part);
        gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
        gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
        gl.pixelStorei(gl.PACK_ROW_LENGTH, width);
        gl.pixelStorei(gl.PACK_SKIP_PIXELS, left);
        gl.pixelStorei(gl.PACK_SKIP_ROWS, top);
        gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, result);
        for (const name of ["ROW_LENGTH", "SKIP_PIXELS", "SKIP_ROWS"]) gl.pixelStorei(gl[`PACK_${name}`], 0);
        gl.deleteTexture(texture);
        part.close();
      }
    gl.deleteFramebuffer(frame);
    return result;
  }
}

function unpack(gl, values) {
  for (const [name, value] of Object.entries(values)) gl.pixelStorei(gl[`UNPACK_${name}`], value);
}

function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}
