/** Python's `strftime` in the C locale and local time, as far as chat templates use it. */

const MONTHS = ["January", "February", "March", "April", "May", "June", "July"].concat([
  "August",
  "September",
  "October",
  "November",
  "December",
]);
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const padded = (value: number, width: number): string => String(value).padStart(width, "0");

/** A directive that is not known stays as it is. */
export function strftime(date: Date, format: string): string {
  const day = DAYS[date.getDay()] as string;
  const month = MONTHS[date.getMonth()] as string;
  const hour12 = date.getHours() % 12 || 12;
  const directives: Record<string, string> = {
    a: day.slice(0, 3),
    A: day,
    b: month.slice(0, 3),
    B: month,
    d: padded(date.getDate(), 2),
    H: padded(date.getHours(), 2),
    I: padded(hour12, 2),
    m: padded(date.getMonth() + 1, 2),
    M: padded(date.getMinutes(), 2),
    p: date.getHours() < 12 ? "AM" : "PM",
    S: padded(date.getSeconds(), 2),
    w: String(date.getDay()),
    y: padded(date.getFullYear() % 100, 2),
    Y: String(date.getFullYear()),
    "%": "%",
  };
  return format.replace(/%(.)/g, (whole, letter: string) => directives[letter] ?? whole);
}
