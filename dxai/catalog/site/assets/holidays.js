// Public holidays: columns of a calendar, filled where a table has no value, as dxai/data/calendar.py does it.

import { TableError } from "./csv.js";

const DAY = 86_400_000;

/**
 * Puts 1 on public holidays and 0 on other days into the columns of a calendar, where they have no value; `times` are
 * days, or hours where steps are hours. A row outside the years that the page knows refuses the table.
 */
export function fillHolidays(values, times, { columns, frequency }) {
  const days = times.map((at) => (at === null ? null : Math.floor(at / (frequency === "hourly" ? 24 : 1))));
  for (const { name, title, holidays } of columns.filter((column) => column.holidays)) {
    const { first, last } = holidays;
    const known = new Set(holidays.days);
    const cells = values.get(name) ?? days.map(() => null);
    const filled = cells.map((cell, i) => {
      if (cell !== null || days[i] === null) {
        return cell;
      }
      const year = new Date(days[i] * DAY).getUTCFullYear();
      if (year < first || year > last) {
        throw new TableError(["table.holidays", { title, first, last, row: i + 2 }]);
      }
      return Number(known.has(days[i]));
    });
    values.set(name, filled);
  }
}
