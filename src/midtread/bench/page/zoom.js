// The stage of the viewer: two pictures on top of each other, a divider, zoom and pan by mouse, touch and keys.

/**
 * @param stage element that holds the layers
 * @param size [width, height] of the pictures in their own pixels
 * @param onZoom told the scale (stage pixels per picture pixel) after each change
 */
function makeStage(stage, onZoom) {
  const view = { size: [1, 1], scale: 1, x: 0, y: 0, fit: true, split: 50 };
  const handle = stage.querySelector(".split");
  const [left, right] = stage.querySelectorAll(".layer");
  const pointers = new Map();
  let grip = null; // what a drag does: "split" or "pan"

  const fitScale = () => Math.min(stage.clientWidth / view.size[0], stage.clientHeight / view.size[1]);
  const zoomed = () => view.scale > fitScale() * 1.001;

  function clampTo(position, room, length) {
    return length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, position));
  }

  function draw() {
    if (view.fit) view.scale = fitScale();
    view.x = clampTo(view.x, stage.clientWidth, view.size[0] * view.scale);
    view.y = clampTo(view.y, stage.clientHeight, view.size[1] * view.scale);
    for (const image of stage.querySelectorAll("img")) {
      image.style.width = `${view.size[0]}px`;
      image.style.height = `${view.size[1]}px`;
      image.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    }
    left.style.clipPath = `inset(0 ${100 - view.split}% 0 0)`;
    right.style.clipPath = `inset(0 0 0 ${view.split}%)`;
    handle.style.left = `${view.split}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(view.split)));
    stage.classList.toggle("zoomed", zoomed());
    stage.classList.toggle("pixels", view.scale >= 2);
    onZoom(view);
  }

  /** Zoom so that the picture point under (px, py) of the stage stays there. */
  function zoomTo(scale, px = stage.clientWidth / 2, py = stage.clientHeight / 2) {
    const next = Math.max(Math.min(fitScale(), 1), Math.min(8, scale));
    view.x = px - ((px - view.x) * next) / view.scale;
    view.y = py - ((py - view.y) * next) / view.scale;
    view.scale = next;
    view.fit = Math.abs(next - fitScale()) < 1e-3;
    draw();
  }

  function splitTo(percent) {
    view.split = Math.max(0, Math.min(100, percent));
    draw();
  }

  const inStage = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    pointers.set(event.pointerId, inStage(event));
    stage.setPointerCapture(event.pointerId);
    grip = event.target === handle || !zoomed() ? "split" : "pan";
    if (grip === "split" && pointers.size === 1) splitTo((100 * inStage(event)[0]) / stage.clientWidth);
    if (event.pointerType === "mouse") handle.focus({ preventScroll: true });
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = inStage(event);
    if (pointers.size === 2) {
      const other = [...pointers.entries()].find(([id]) => id !== event.pointerId)[1];
      const apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
      view.x += (now[0] - before[0]) / 2;
      view.y += (now[1] - before[1]) / 2;
      zoomTo((view.scale * apart(now)) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else if (grip === "split") {
      splitTo((100 * now[0]) / stage.clientWidth);
    } else {
      view.x += now[0] - before[0];
      view.y += now[1] - before[1];
      draw();
    }
    pointers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => pointers.delete(event.pointerId));

  // A plain wheel scrolls the page until the viewer has the focus; a pinch on a touchpad comes with ctrlKey.
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && !stage.contains(document.activeElement)) return;
      event.preventDefault();
      zoomTo(view.scale * 2 ** (-event.deltaY / (event.ctrlKey ? 120 : 360)), ...inStage(event));
    },
    { passive: false },
  );
  stage.addEventListener("dblclick", (event) => (zoomed() ? fit() : zoomTo(Math.max(2, fitScale() * 2), ...inStage(event))));

  handle.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 2;
    const jumps = { ArrowLeft: view.split - step, ArrowRight: view.split + step, Home: 0, End: 100 };
    if (event.key in jumps) splitTo(jumps[event.key]);
    else if (event.key === "+" || event.key === "=") zoomTo(view.scale * 1.5);
    else if (event.key === "-") zoomTo(view.scale / 1.5);
    else if (event.key === "0") fit();
    else if (event.key === "f" || event.key === "F") flip();
    else if (event.key === "Escape") handle.blur();
    else return;
    event.preventDefault();
  });

  function fit() {
    view.fit = true;
    draw();
  }

  /** All left, then all right: what flickers is what differs. */
  function flip() {
    splitTo(view.split > 50 ? 0 : 100);
  }

  /** Set the size of the pictures; where one looks stays when it did not change. */
  function resize(size) {
    if (size[0] !== view.size[0] || size[1] !== view.size[1]) view.fit = true;
    view.size = size;
    draw();
  }

  return { zoomTo, fit, flip, resize, draw };
}
