const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/[.]$/, "") + ".";

// sentences are the relay's reason and hint as a viewer reads them. Its detail is for programs.
export const sentences = ({ error, hint }) => [error, hint].filter(Boolean).map(sentence).join(" ");
