/** Whether PostgreSQL stores a text unchanged: it takes no U+0000, and UTF-8 has no lone surrogates. */
export const isStorableText = (text: string): boolean => text.isWellFormed() && !text.includes('\0')
