/** A start that must not go on, in words for the person at the terminal: printed without a stack. */
export class StartRefused extends Error {}
