// What the shop sells: pieces of traffic.py's catalogue, and a drawing of each kind.

const drawings = {
  Chairs: "M30 15v45M70 40v50M30 60h40M30 60v30M30 18q-4 20 0 40",
  Desks: "M12 40h76M18 40v48M82 40v48M55 40v20h27M62 50h10",
  Lamps: "M35 15h30l12 28H23zM50 43v42M35 88h30",
  Rugs: "M15 30h70v40H15zM22 37h56v26H22zM15 36h-5M15 50h-5M15 64h-5M85 36h5M85 50h5M85 64h5",
  Shelves: "M22 12v76M78 12v76M22 20h56M22 45h56M22 70h56M30 45V28M37 45V28M60 70V54M67 70V54",
};

const kinds = Object.keys(drawings);
const names = ["Chair", "Desk", "Lamp", "Rug", "Shelf"];

export const products = [2, 5, 9].flatMap((number) =>
  kinds.map((category, place) => ({
    sku: `${category.slice(0, 2).toUpperCase()}-${String(number).padStart(2, "0")}`,
    name: `${names[place]} No. ${number}`,
    category,
    price: Math.round((9.9 + number * number * 1.7 + place * 4) * 100) / 100,
  })),
);

export function drawing(category) {
  return `<svg viewBox="0 0 100 100" aria-hidden="true"><path d="${drawings[category]}"/></svg>`;
}
