/**
 * The words of the page: what is asked, what is answered, and what is shown. All coordinates are pixels of the picture.
 *
 * @typedef {[number, number, number, number]} Box `[x1, y1, x2, y2]`, the first corner the upper left one
 * @typedef {{x: number, y: number, isPositive: boolean}} Click
 * @typedef {{size: [number, number], counts: string}} Runs COCO's compressed run lengths; `size` is height, width
 *
 * @typedef {object} Found an object as the server answers it
 * @property {number} [prompt]
 * @property {string} [label]
 * @property {number} [class_id]
 * @property {number} [score]
 * @property {Box} [box]
 * @property {{center: number[], size: number[], angle: number, corners: number[][]}} [rotated_box]
 * @property {number[][]} [keypoints]
 * @property {number} [stability]
 * @property {Box} [mask_box]
 * @property {number} [mask_score]
 * @property {Runs} [segmentation]
 * @property {number} [area]
 * @property {number[]} [point] the click of everything mode that it answers
 * @property {number[]} [crop_box] the crop of everything mode that it was found in
 *
 * @typedef {object} Picture the picture that is worked on
 * @property {string} name of its file
 * @property {Blob} file
 * @property {number} width
 * @property {number} height
 * @property {string|null} ref what the server knows it by; null while it is being sent
 *
 * @typedef {object} Item an object that is prompted for
 * @property {string} id
 * @property {string} name what somebody called it; empty until then
 * @property {number} colour place in the palette
 * @property {boolean} isHidden
 * @property {Click[]} clicks
 * @property {Box|null} box
 * @property {number|null} candidate which of three masks was chosen; null: the best
 *
 * @typedef {object} Phrase what is looked for: words, or boxes on the picture that show it, or both
 * @property {string} id
 * @property {string} text empty where boxes alone show it
 * @property {Box[]} like
 * @property {Box[]} unlike
 *
 * @typedef {'none'|'everything'|'objects'|'words'} Search what is looked for beside the prompts
 *
 * @typedef {object} Edit what somebody changed about an object that was found
 * @property {string} [name]
 * @property {number} [colour]
 * @property {boolean} [isHidden]
 *
 * @typedef {object} Work all that can be undone; never changed in place
 * @property {readonly Item[]} items
 * @property {string|null} current id of the object that clicks go to
 * @property {Search} search
 * @property {readonly Phrase[]} phrases
 * @property {Readonly<Record<string, Edit>>} edits by the key of a found object ({@link Shown.key})
 *
 * @typedef {{clicks: Click[], box: Box|null}} Prompts what is said of an object on a frame
 *
 * @typedef {object} Clip a video, or pictures one after the other; its frames are counted from 0
 * @property {string} name
 * @property {string} file name of the video's, or of the first picture's
 * @property {number} count of its frames
 * @property {number|null} rate frames per second; null of pictures, which have no time
 * @property {number} start seconds of the first frame
 * @property {number} frame that is shown, and that clicks go to
 * @property {Readonly<Record<number, Readonly<Record<string, Prompts>>>>} prompts by frame and by object; those of the frame that is shown
 *   are its items'
 * @property {number} lastObject number of the object that was added last: none is given twice
 * @property {number} answers how often there were new ones
 * @property {boolean} isAsking
 * @property {Run|null} run
 * @property {string} note what the user is to know of it
 *
 * @typedef {object} Run objects being followed from frame to frame
 * @property {'forward'|'backward'} direction
 * @property {number} done frames
 * @property {number} of frames that are to be done
 * @property {number} rate frames per second, of late
 *
 * @typedef {'point'|'box'|'words'|'pan'} Tool
 *
 * @typedef {object} Settings what is chosen and not undone
 * @property {string|null} model who answers
 * @property {string|null} compare who answers the same beside it
 * @property {string|null} cutter who cuts out what a detector without masks has found
 * @property {Tool} tool
 * @property {boolean} isNegative clicks and boxes say what is not meant
 * @property {boolean} hasPreview a mask follows the pointer
 * @property {number} score objects below are not shown
 * @property {number} overlap of two boxes of a class that overlap more, the worse one is not shown
 * @property {number} opacity of masks, 0 to 1
 * @property {boolean} isContour outlines in place of areas
 * @property {'usual'|'safe'} palette `safe`: colours that colour-blind eyes tell apart
 * @property {'auto'|'light'|'dark'} theme
 *
 * @typedef {Record<string, number|string>} Timings milliseconds by stage, `total`, and where the embedding came from
 *
 * @typedef {object} Answer
 * @property {string} key what was asked, and of whom
 * @property {string} model
 * @property {string} provider
 * @property {boolean} isDegraded
 * @property {Found[]} objects
 * @property {Timings} timings
 * @property {number} rowsTogether
 * @property {number} took milliseconds from asking to having the answer, as the page sees it
 * @property {Problem|null} problem in place of objects
 *
 * @typedef {object} Problem what went wrong, as the server tells it (RFC 9457)
 * @property {string} reason `bad_request`, `not_found`, …; `unreachable` where no server answers
 * @property {string} title
 * @property {number} status 0 where no server answers
 * @property {string} detail
 * @property {string} [help]
 * @property {number} [retryAfter] seconds
 *
 * @typedef {object} Shown an object as it is shown: in the list, on the picture, and in what is exported
 * @property {string} key
 * @property {Item|null} item null where it was found without a prompt of its own
 * @property {Found} found
 * @property {string} name what it is called: by somebody, else by its class, else by its number
 * @property {string|null} label what is exported as its name: null where nobody and no class gave one
 * @property {number} colour
 * @property {boolean} isHidden by hand
 * @property {string|null} mask id of its mask at the painter
 *
 * @typedef {'unloaded'|'downloading'|'building'|'loading'|'warming'|'ready'|'degraded'|'draining'|'failed'} ModelState
 *
 * @typedef {object} Model as `GET /v1/models` tells it
 * @property {string} name
 * @property {ModelState} state
 * @property {string} [reason]
 * @property {string} [provider]
 * @property {boolean} degraded
 * @property {string} [task]
 * @property {{prompts: boolean, everything: boolean, words: boolean, exemplars: boolean, objects: boolean, classes: boolean,
 *   embeddings: boolean, masks: boolean, video?: boolean}} takes
 * @property {Record<string, string[]>} formats
 * @property {Record<string, any>} defaults
 * @property {string[]} architectures
 * @property {string[]} labels the first of its classes
 * @property {number} label_count
 * @property {{prompts: number, pixels: number, body: number, queue: number, timeout_ms: number}} limits
 * @property {Record<string, number>} [cold_ms]
 *
 * @typedef {object} Encoding how far the picture is
 * @property {'none'|'sending'|'encoding'|'ready'|'failed'} stage
 * @property {number} progress 0 to 1 while it is sent
 * @property {number} since of `performance.now()`
 * @property {boolean} isCached the server had it already
 * @property {Timings|null} timings of the encoding
 * @property {Problem|null} problem
 *
 * @typedef {object} State
 * @property {readonly Model[]} models
 * @property {readonly string[]} available names of models that can be loaded
 * @property {boolean} isOnline
 * @property {boolean} wantsKey
 * @property {Picture|null} picture
 * @property {Clip|null} clip whose frames are shown as the picture, which the server then keeps nothing of
 * @property {Encoding} encoding
 * @property {Work} work
 * @property {boolean} canUndo
 * @property {boolean} canRedo
 * @property {Settings} settings
 * @property {ReadonlySet<string>} asking keys of what is being asked
 * @property {Answer|null} last the answer that came last, for the strip of stages
 * @property {Answer|null} lastCompare the same of the model beside it
 * @property {string|null} highlighted key of the object that the pointer is on, on the picture or in the list
 * @property {number|null} clickToPixels milliseconds of the last click, until it was drawn
 * @property {Problem|null} problem that the user must see
 * @property {string} said what a screen reader says
 */
export {};
