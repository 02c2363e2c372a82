// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Which files a process had mapped when it ended or became another program: its stacks are looked
 * at later, when /proc has forgotten it.
 */
#include "kernel.h"
#include "symbol_image_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define RING_BYTES (1 << 20)
#define VM_EXEC 4
/* Directories and mounts on the way to the root. */
#define STEPS 48

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct super_block {
	u32 s_dev;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct inode___image {
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct file___image {
	struct inode___image *f_inode;
	struct path f_path;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file___image *vm_file;
};

struct mm_struct___image {
	struct {
		void *vdso;
	} context;
};
#pragma clang attribute pop

struct bpf_iter_task_vma {
	u64 opaque[1];
} __attribute__((aligned(8)));

/* Since 6.7. */
extern int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task,
				 u64 addr) __ksym;
extern struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym;
extern void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

/* Too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct layout);
} layouts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct image_file);
} paths SEC(".maps");

struct file_key {
	u64 ino;
	u64 dev;
};

/* Files whose path was told. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct file_key);
	__type(value, u32);
} told SEC(".maps");

/* Processes whose mappings found no room in the ring, or could not be read. */
u64 lost;

/* So that the skeleton has these types. */
struct image unused_image;
enum image_kind unused_kind;

/* A walk from a file to the root, over the mounts. */
struct walk {
	struct image_file *f;
	struct dentry *dentry;
	struct mount *mount;
	u32 len;
	bool arrived;
};

static long step_up(u32 i, struct walk *w)
{
	struct dentry *dentry = w->dentry, *parent = BPF_CORE_READ(dentry, d_parent);
	struct mount *mount = w->mount;
	u32 len = w->len;
	long got;

	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		struct mount *below = BPF_CORE_READ(mount, mnt_parent);

		w->arrived = below == mount;
		w->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		w->mount = below;
		return below == mount;
	}
	/* A file of no directory. */
	if (parent == dentry) {
		w->arrived = true;
		return 1;
	}
	if (len >= PATH_BYTES)
		return 1;
	got = bpf_probe_read_kernel_str(w->f->path + len, NAME_BYTES,
					BPF_CORE_READ(dentry, d_name.name));
	if (got <= 0)
		return 1;
	w->len = len + got;
	w->dentry = parent;
	return 0;
}

/* Tells a file's path once. By itself for the verifier: it looks at it one time, not in a loop. */
__noinline int tell_file(u64 address, u32 dev, u64 ino)
{
	struct file___image *file = (void *)address;
	struct file_key key = { .ino = ino, .dev = dev };
	u64 inside = bpf_core_field_offset(struct mount, mnt);
	u32 zero = 0, one = 1, len;
	struct walk walk = {};

	if (bpf_map_lookup_elem(&told, &key))
		return 0;
	walk.f = bpf_map_lookup_elem(&paths, &zero);
	if (!walk.f)
		return 0;
	walk.f->kind = IMAGE_FILE;
	walk.f->dev = dev;
	walk.f->ino = ino;
	walk.f->unused = 0;
	walk.dentry = BPF_CORE_READ(file, f_path.dentry);
	walk.mount = (void *)((u64)BPF_CORE_READ(file, f_path.mnt) - inside);
	bpf_loop(STEPS, step_up, &walk, 0);
	if (!walk.arrived || !walk.len || walk.len > sizeof(walk.f->path))
		return 0;
	walk.f->len = walk.len;
	len = walk.len + __builtin_offsetof(struct image_file, path);
	if (!bpf_ringbuf_output(&ring, walk.f, len, BPF_RB_NO_WAKEUP))
		bpf_map_update_elem(&told, &key, &one, BPF_ANY);
	return 0;
}

static __always_inline int tell_layout(struct task_struct *p)
{
	struct mm_struct___image *mm = (void *)p->mm;
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;
	u32 zero = 0, len;
	struct layout *l;

	if (!mm)
		return 0;
	l = bpf_map_lookup_elem(&layouts, &zero);
	if (!l)
		return 0;
	l->kind = IMAGE_LAYOUT;
	l->tgid = p->tgid;
	l->start_ns = p->group_leader->start_time;
	l->mm = (u64)mm;
	l->vdso = HAS(mm->context.vdso) ? (u64)BPF_CORE_READ(mm, context.vdso) : 0;
	l->cut = 0;
	/* Counted in memory: for the verifier every turn of the loop is the same then. */
	l->count = 0;
	bpf_iter_task_vma_new(&it, p, 0);
	while ((vma = bpf_iter_task_vma_next(&it))) {
		struct file___image *file;
		struct image *image;
		u32 count = l->count;

		if (!(vma->vm_flags & VM_EXEC))
			continue;
		if (count >= IMAGES) {
			l->cut++;
			break;
		}
		image = &l->images[count];
		image->start = vma->vm_start;
		image->end = vma->vm_end;
		image->offset = vma->vm_pgoff << 12;
		/* Read so that it is a number for the verifier, as tell_file wants it. */
		file = BPF_CORE_READ(vma, vm_file);
		image->file = !!file;
		image->ino = 0;
		image->dev = 0;
		if (file) {
			image->ino = BPF_CORE_READ(file, f_inode, i_ino);
			image->dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
			tell_file((u64)file, image->dev, image->ino);
		}
		l->count = count + 1;
	}
	bpf_iter_task_vma_destroy(&it);
	len = __builtin_offsetof(struct layout, images) + l->count * sizeof(struct image);
	if (!l->count || len > sizeof(*l) || bpf_ringbuf_output(&ring, l, len, BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/*
 * The last thread of a process. Before 6.16 its memory is gone here; before that, too, nobody says
 * whether it is the last one, so that this is refused there.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(image_exit, struct task_struct *p, bool group_dead)
{
	return group_dead ? tell_layout(p) : 0;
}

/* Since 6.10: the old program is still there and will not come back. */
SEC("tp_btf/sched_prepare_exec")
int BPF_PROG(image_exec, struct task_struct *p)
{
	return tell_layout(p);
}
