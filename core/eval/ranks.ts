/**
 * The rank of the right class of each image, from 0: how many other classes have a logit that is not smaller. A tie counts
 * against the model, and so does a logit that is not a number.
 *
 * Letters: M images, C classes.
 * @param logits [M, C]
 * @param labels the right classes, [M]
 * @returns [M]
 */
export function ranksOf(logits: Float32Array, labels: Int32Array, classes: number): Int32Array {
  if (logits.length !== labels.length * classes) {
    throw new Error(`ranksOf expected ${labels.length} x ${classes} logits, received ${logits.length}`);
  }
  return labels.map((label, image) => {
    const start = image * classes;
    const right = logits[start + label];
    if (right === undefined || label < 0 || label >= classes) {
      throw new Error(`ranksOf expected a class from 0 to ${classes - 1}, received ${label}`);
    }
    let rank = 0;
    for (let other = 0; other < classes; other++) {
      if (other !== label && !((logits[start + other] as number) < right)) rank++;
    }
    return rank;
  });
}

/** Percent of the images whose right class has the highest logit. */
export function topOne(ranks: Int32Array): number {
  return (100 * ranks.filter((rank) => rank === 0).length) / ranks.length;
}
