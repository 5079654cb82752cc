// What is drawn on a canvas without knowing more than its arguments: marks, and what moving a picture leaves bare.

import { COLOURS, trace } from "./ink.js";

// A line through points of the frame, or a cross at a single one.
export function drawLine(marks, points, look, ratio) {
  const [x, y] = points[0].map((v, i) => (v - [look.x, look.y][i]) * look.zoom);
  const path = new Path2D();
  if (points.length > 1) for (const [a, b] of points) path.lineTo((a - look.x) * look.zoom, (b - look.y) * look.zoom);
  else for (const [a, b] of [[9, 0], [0, 9]]) {
    path.moveTo(x - a * ratio, y - b * ratio);
    path.lineTo(x + a * ratio, y + b * ratio);
  }
  for (const [colour, width] of [["#000b", 3.5], ["#ffd84a", 1.5]]) {
    marks.strokeStyle = colour;
    marks.lineWidth = width * ratio;
    marks.stroke(path);
  }
}

// The straight line that a person is drawing.
export function drawStraight(marks, stroke, look) {
  const path = new Path2D();
  trace(path, stroke.points);
  marks.setTransform(look.zoom, 0, 0, look.zoom, -look.x * look.zoom, -look.y * look.zoom);
  marks.lineCap = "round";
  marks.globalAlpha = 0.72;
  marks.lineWidth = 2 * stroke.radius;
  marks.strokeStyle = COLOURS[stroke.label] || "#9c9c9c";
  marks.stroke(path);
  marks.globalAlpha = 1;
}

// The outline of a lasso or polygon, and a line to where the pointer is.
export function drawOutline(marks, points, look, ratio) {
  marks.lineJoin = "round";
  for (const [colour, width, dash] of [["#000b", 3, []], ["#fff", 1.5, [5 * ratio, 4 * ratio]]]) {
    marks.setTransform(1, 0, 0, 1, 0, 0);
    marks.strokeStyle = colour;
    marks.lineWidth = width * ratio;
    marks.setLineDash(dash);
    marks.beginPath();
    for (const [x, y] of points) marks.lineTo((x - look.x) * look.zoom, (y - look.y) * look.zoom);
    marks.closePath();
    marks.stroke();
  }
  marks.setLineDash([]);
}

// Moves what is on a canvas.
export function shift(context, dx, dy) {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalCompositeOperation = "copy";
  context.drawImage(context.canvas, dx, dy);
  context.globalCompositeOperation = "source-over";
}

// What a picture that was moved leaves bare, as [x, y, width, height].
export function uncovered(dx, dy, width, height) {
  if (Math.abs(dx) >= width || Math.abs(dy) >= height) return [[0, 0, width, height]];
  const side = [dx > 0 ? 0 : width + dx, 0, Math.abs(dx), height];
  const rest = [Math.max(dx, 0), dy > 0 ? 0 : height + dy, width - Math.abs(dx), Math.abs(dy)];
  return [side, rest].filter((part) => part[2] && part[3]);
}
