"use strict";
// Without this every version of a picture stands beside the others; with it any two are laid on each other and compared.
document.documentElement.classList.add("js");

function compare(viewer) {
  const stage = viewer.querySelector(".stage");
  const canvas = viewer.querySelector(".views");
  const figures = [...canvas.querySelectorAll("figure")];
  const [left, zoom, right] = viewer.querySelectorAll("select");
  const split = viewer.querySelector(".split");
  const [width, height, x, y, w, h] = viewer.dataset.size.split(" ").map(Number);
  const edge = canvas.appendChild(document.createElement("div"));
  edge.className = "edge";

  const visible = () => Math.min(stage.clientWidth, canvas.offsetWidth);

  function draw() {
    const at = Math.min(stage.scrollLeft + visible() * split.value / split.max, canvas.offsetWidth);
    figures.forEach((figure, index) => {
      const isLeft = index == left.value, isRight = index == right.value;
      figure.classList.toggle("shown", isLeft || isRight);
      figure.style.zIndex = isRight ? 1 : 0;
      figure.style.clipPath = isRight && !isLeft ? `inset(0 0 0 ${at}px)` : "none";
    });
    edge.style.left = `${at}px`;
    split.setAttribute("aria-valuetext", `${Math.round(100 * split.value / split.max)} % ` +
      `${left.selectedOptions[0].text}, the rest ${right.selectedOptions[0].text}`);
  }

  function enlarge() {
    const fit = zoom.value === "fit";
    const factor = fit ? Math.min(1, stage.clientWidth / width) : Number(zoom.value);
    canvas.style.width = `${width * factor}px`;
    canvas.style.height = `${height * factor}px`;
    canvas.classList.toggle("enlarged", factor > 1);
    stage.classList.toggle("fits", canvas.offsetWidth <= stage.clientWidth);
    stage.scrollLeft = (x + w / 2) * factor - stage.clientWidth / 2;
    stage.scrollTop = (y + h / 2) * factor - stage.clientHeight / 2;
    draw();
  }

  function follow(event) {
    const box = canvas.getBoundingClientRect(), start = Math.max(box.left, stage.getBoundingClientRect().left);
    split.value = split.max * Math.min(1, Math.max(0, (event.clientX - start) / visible()));
    draw();
  }

  let dragging = false;
  stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" && !stage.classList.contains("fits")) return; // a finger moves what is enlarged
    dragging = true;
    stage.setPointerCapture(event.pointerId);
    follow(event);
  });
  stage.addEventListener("pointermove", (event) => dragging && follow(event));
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { dragging = false; });
  for (const control of [left, right]) control.addEventListener("change", draw);
  zoom.addEventListener("change", enlarge);
  split.addEventListener("input", draw);
  stage.addEventListener("scroll", draw);
  new ResizeObserver(draw).observe(stage);
  enlarge();
}

document.querySelectorAll(".viewer").forEach(compare);
