// Which fields of the metadata tell people something, and which are names for machines.

import { state } from "./store.js";

const MOST_KINDS = 20;
const LONGEST_KIND = 28;
const NAMES = /(^|_)(id|token|name|log|path|file)$/;

/** Amounts, times, and texts with few, short values. */
export function tells(field) {
  if (field.type !== "text") return true;
  const values = field.values ?? [];
  return !field.more && !NAMES.test(field.name) && values.length <= MOST_KINDS && values.every((one) => one.length <= LONGEST_KIND);
}

/** The fields, those that tell something first. */
export function fieldsInOrder() {
  return state.config.fields.toSorted((one, other) => tells(other) - tells(one));
}

/** Kinds that a map can be coloured by: more than one, told apart by eye. */
export const kindFields = () => state.config.fields.filter((one) => one.type === "text" && tells(one) && one.values?.length > 1);
