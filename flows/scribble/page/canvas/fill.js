// An area becomes strokes, because strokes are what the store keeps. The area is a set of cells, and each line along a
// row of cells, drawn with a brush three quarters of a cell thick, covers that row and no centre of a cell beside it.

const SHARE = 0.75; // of a cell: more than half of its diagonal, and less than the way to the next centre

// The cells whose centres lie inside an outline [[x, y], ...], as rows [row, first, last] of cells with this side.
export function cellsInside(outline, side, [height, width]) {
  const edges = outline.map((from, n) => [from, outline[(n + 1) % outline.length]]);
  const ys = outline.map(([, y]) => y);
  const clamp = (v, most) => Math.min(Math.max(v, 0), most);
  const first = Math.ceil(clamp(Math.min(...ys), height) / side - 0.5);
  const last = Math.min(Math.floor(clamp(Math.max(...ys), height) / side - 0.5), Math.ceil(height / side) - 1);
  const rows = [];
  for (let row = Math.max(first, 0); row <= last; row++) {
    const y = (row + 0.5) * side;
    const crossings = edges.filter(([a, b]) => a[1] <= y !== b[1] <= y)
      .map(([a, b]) => [a[0] + ((y - a[1]) / (b[1] - a[1])) * (b[0] - a[0]), a[1] <= y ? 1 : -1])
      .sort((one, other) => one[0] - other[0]);
    let turns = 0;
    crossings.forEach(([x, turn], n) => {
      turns += turn; // an outline that crosses itself has no holes
      if (!turns) return;
      const from = Math.ceil(clamp(x, width) / side - 0.5);
      const to = Math.min(Math.floor(clamp(crossings[n + 1][0], width) / side - 0.5), Math.ceil(width / side) - 1);
      if (from <= to) rows.push([row, from, to]);
    });
  }
  return rows;
}

// Strokes { radius, points } that cover rows of cells [row, first, last], sorted by row, and nothing else.
export function strokesOver(rows, side) {
  const chains = [];
  let open = []; // chains that reach the row before
  for (const [row, first, last] of rows) {
    open = open.filter((chain) => chain.row >= row - 1);
    const chain = open.find((one) => one.row === row - 1 && one.first <= last && one.last >= first);
    if (chain) {
      const x = Math.min(Math.max(chain.x, first, chain.first), last, chain.last); // down where both rows have cells
      chain.points.push([x, row - 1], [x, row]);
      // first to the side that is nearer, so that the line ends at the other one
      const ends = x - first < last - x ? [first, last] : [last, first];
      chain.points.push([ends[0], row], [ends[1], row]);
      Object.assign(chain, { row, first, last, x: ends[1] });
    } else {
      const made = { row, first, last, x: last, points: [[first, row], [last, row]] };
      chains.push(made);
      open.push(made);
    }
  }
  const place = (cell) => Math.round(100 * (cell + 0.5) * side) / 100;
  return chains.map(({ points }) => ({
    radius: Math.max(Math.round(100 * SHARE * side) / 100, SHARE),
    points: points.filter((point, n) => !n || String(point) !== String(points[n - 1])).map((point) => point.map(place)),
  }));
}
