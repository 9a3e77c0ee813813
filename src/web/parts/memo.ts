/** Views that are drawn again only when something that they show has changed. */
import { Component, type ComponentType, createElement } from "preact";

/** Lists are the same when their items are: they are often made anew from the same things. */
function same(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, i) => item === b[i]);
  return a === b;
}

export const memo = <P extends object>(View: ComponentType<P>): ComponentType<P> =>
  class extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const keys = new Set([...Object.keys(this.props), ...Object.keys(next)]) as Set<keyof P>;
      return [...keys].some((key) => !same(this.props[key], next[key]));
    }

    override render() {
      return createElement(View, this.props);
    }
  };
