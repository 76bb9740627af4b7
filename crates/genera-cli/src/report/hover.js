"use strict";
// Values under the pointer, for line plots. Paths hold relative integers in a square of side 4000.
for (const area of document.querySelectorAll(".curve .area")) {
  const path = area.querySelector("path.line");
  const axis = (text) => {
    const [low, high, kind] = text.split(" ");
    const [a, b] = [Number(low), Number(high)];
    return (share) => (kind === "log" ? a * (b / a) ** share : a + (b - a) * share);
  };
  const [toX, toY] = [axis(area.dataset.x), axis(area.dataset.y)];
  const numbers = path.getAttribute("d").match(/-?\d+/g).map(Number);
  const points = [];
  for (let i = 0, x = 0, y = 0; i + 1 < numbers.length; i += 2) {
    points.push([(x += numbers[i]) / 4000, 1 - (y += numbers[i + 1]) / 4000]);
  }
  const tip = area.appendChild(document.createElement("div"));
  tip.className = "tip";
  tip.hidden = true;
  const show = (value, digits) => String(Number(value.toPrecision(digits)));
  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width;
    const [x, y] = points.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a));
    tip.textContent = `${show(toX(x), 4)} · ${show(toY(y), 3)}`;
    tip.style.left = `${100 * x}%`;
    tip.style.top = `${100 * (1 - y)}%`;
    tip.classList.toggle("left", x > 0.6);
    tip.hidden = false;
  });
  area.addEventListener("pointerleave", () => (tip.hidden = true));
}
