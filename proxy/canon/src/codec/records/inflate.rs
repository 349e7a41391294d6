//! Opening the compressed part of a batch, never beyond [`INFLATE_BYTES_MAX`].

use std::io::Read;

use bytes::Bytes;

use super::head::Compression;
use crate::codec::Damage;
use crate::codec::reader::Reader;
use crate::limits::INFLATE_BYTES_MAX;

/// Stands before blocks of raw snappy, each with a length; without it all is one raw block.
const SNAPPY_FRAMED: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// The largest window that any level of the reference encoder uses (128 MiB of address space, which
/// is touched only as far as output is produced).
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The records as they were before compression.
pub(super) fn inflate(compression: Compression, from: Reader) -> Result<Bytes, Damage> {
    match compression {
        Compression::None => Ok(from.rest()),
        Compression::Gzip => {
            let damage = from.damage("gzip");
            read(flate2::bufread::MultiGzDecoder::new(&*from.rest()), damage)
        }
        Compression::Snappy => snappy(from),
        Compression::Lz4 => {
            let damage = from.damage("lz4");
            read(lz4_flex::frame::FrameDecoder::new(&*from.rest()), damage)
        }
        Compression::Zstd => {
            let damage = from.damage("zstd");
            let input = from.rest();
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&*input)
                .map_err(|_no_memory| damage.clone())?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(|_out_of_range| damage.clone())?;
            read(decoder, damage)
        }
    }
}

fn read(decoder: impl Read, damage: Damage) -> Result<Bytes, Damage> {
    let mut out = Vec::new();
    let mut limited = decoder.take(INFLATE_BYTES_MAX as u64 + 1);
    match limited.read_to_end(&mut out) {
        Err(_broken) => Err(damage),
        Ok(_) if out.len() > INFLATE_BYTES_MAX => Err(too_large(damage.at)),
        Ok(_) => Ok(Bytes::from(out)),
    }
}

fn snappy(mut from: Reader) -> Result<Bytes, Damage> {
    let mut framed = Reader::new(from.clone().rest(), 0);
    if framed.array("snappy").ok() != Some(SNAPPY_FRAMED) {
        let mut out = Vec::new();
        let damage = from.damage("snappy");
        raw_snappy(&from.rest(), &mut out, damage)?;
        return Ok(Bytes::from(out));
    }
    from.array::<8>("snappy")?;
    from.array::<8>("snappy versions")?;
    let mut out = Vec::new();
    while !from.is_empty() {
        let len = u32::from_be_bytes(from.array("snappy block length")?) as usize;
        let damage = from.damage("snappy block");
        raw_snappy(&from.take(len, "snappy block")?, &mut out, damage)?;
    }
    Ok(Bytes::from(out))
}

fn raw_snappy(block: &[u8], out: &mut Vec<u8>, damage: Damage) -> Result<(), Damage> {
    let Ok(len) = snap::raw::decompress_len(block) else {
        return Err(damage);
    };
    let start = out.len();
    if len > INFLATE_BYTES_MAX - start {
        return Err(too_large(damage.at));
    }
    out.resize(start + len, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    match snap::raw::Decoder::new().decompress(block, room) {
        Ok(written) if written == len => Ok(()),
        _ => Err(damage),
    }
}

fn too_large(at: usize) -> Damage {
    let what = "inflated size above the limit";
    Damage { what, at }
}
