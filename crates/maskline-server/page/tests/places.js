/** Places on the sample, in its pixels. */

export const CUP = [460, 375];
export const APPLE = [648, 446];
export const ORANGE = [258, 453];
export const LEMON = [465, 510];
export const PEAR = [272, 260];
/** On the wall. */
export const NOTHING = [60, 60];
/** Corners of boxes, a little around the objects. */
export const APPLE_BOX = { from: [560, 364], to: [736, 530] };
export const PEAR_BOX = { from: [210, 140], to: [335, 346] };
