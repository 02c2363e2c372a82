/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a process that ends or becomes another program had mapped to be executed.
 * src/symbol/images.rs reads it.
 */
#ifndef LMPTOP_SYMBOL_IMAGE_ROW_H
#define LMPTOP_SYMBOL_IMAGE_ROW_H

enum image_kind {
	IMAGE_LAYOUT = 1, /* struct layout */
	IMAGE_FILE, /* struct image_file */
};

/* Mappings of one process that are told at most. */
#define IMAGES 256
/* Bytes of a path, one name behind another, and the longest name. */
#define PATH_BYTES 1024
#define NAME_BYTES 256

struct image {
	u64 start, end;
	u64 offset; /* bytes into the file */
	u64 ino;
	u32 dev;
	u32 file; /* 1 where there is one */
};

struct layout {
	u32 kind;
	u32 count; /* of `images` that follow */
	u32 tgid;
	u32 cut; /* mappings that found no room, at least */
	u64 start_ns; /* of the process */
	u64 mm;
	u64 vdso; /* its address, or 0 */
	struct image images[IMAGES];
};

struct image_file {
	u32 kind;
	u32 len; /* of `path` */
	u32 dev;
	u32 unused;
	u64 ino;
	char path[PATH_BYTES + NAME_BYTES]; /* innermost name first, each ends with NUL */
};

#endif
