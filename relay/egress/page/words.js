const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/[.]$/, "") + ".";

// sentences formats the relay's reason and hint for viewers. The detail is for programs.
export const sentences = ({ error, hint }) => [error, hint].filter(Boolean).map(sentence).join(" ");
